import { index, integer, pgTable, text } from "drizzle-orm/pg-core";

export const users = pgTable("users", {
  id: integer().primaryKey(),
  email: text().notNull(),
  emailLower: text("email_lower"),
});

export const orders = pgTable(
  "orders",
  {
    id: integer().primaryKey(),
    userId: integer("user_id").notNull(),
    note: text(),
  },
  (table) => [index("orders_user_id").on(table.userId)],
);
