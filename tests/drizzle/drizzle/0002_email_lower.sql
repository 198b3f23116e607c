ALTER TABLE "users" ADD COLUMN "email_lower" text;--> statement-breakpoint
CREATE INDEX "orders_user_id" ON "orders" USING btree ("user_id");