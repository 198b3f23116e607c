import { index, integer, pgTable, text } from "drizzle-orm/pg-core";

export const users = pgTable(
  "users",
  {
    id: integer().primaryKey(),
    email: text().notNull(),
  },
  (table) => [index("users_email").on(table.email)],
);

export const orders = pgTable("orders", {
  id: integer().primaryKey(),
  userId: integer("user_id").notNull(),
  note: text(),
});
