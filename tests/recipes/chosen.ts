/**
 * Which recipes are tested in which way: those that RECIPES names; else, with RECIPE_TURN, a third of
 * them in each way, another one for each turn, so that three turns make all; else all.
 */
import { print } from "../support.ts";
import { recipes } from "./daemons.ts";
import type { Recipe } from "./recipe.ts";

const WAYS = ["plain", "monit", "supervisor"] as const;

/** Returns the recipes to test in this way, and prints which they are. */
export function chosen(way: typeof WAYS[number]): readonly Recipe[] {
  const names = (Deno.env.get("RECIPES") ?? "").split(" ").filter((name) => name !== "");
  const unknown = names.filter((name) => !recipes.some((recipe) => recipe.name === name));
  if (unknown.length > 0) throw new Error(`no such recipe: ${unknown.join(", ")}`);
  const turn = Deno.env.get("RECIPE_TURN");
  const list = names.length > 0
    ? recipes.filter(({ name }) => names.includes(name))
    : turn === undefined || turn === ""
    ? recipes
    : recipes.filter((_, index) => (index + WAYS.indexOf(way) + Number(turn)) % WAYS.length === 0);
  print(`recipes, ${way}: ${list.map(({ name }) => name).join(" ")}`);
  return list;
}
