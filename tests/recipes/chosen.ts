/**
 * Which recipes are tested in which way: those that RECIPES names; with RECIPE_TURN in addition a
 * quarter of the others in each way, another one for each turn, so that four turns make all; without
 * either all. A job for BOSH is made of those whose data is not in a directory of the distribution.
 */
import { print } from "../support.ts";
import { recipes } from "./daemons.ts";
import type { Recipe } from "./recipe.ts";

const WAYS = ["plain", "monit", "supervisor", "bosh"] as const;

/** Returns the recipes to test in this way, and prints which they are. */
export function chosen(way: typeof WAYS[number]): readonly Recipe[] {
  const names = (Deno.env.get("RECIPES") ?? "").split(" ").filter((name) => name !== "");
  const unknown = names.filter((name) => !recipes.some((recipe) => recipe.name === name));
  if (unknown.length > 0) throw new Error(`no such recipe: ${unknown.join(", ")}`);
  const turn = Deno.env.get("RECIPE_TURN") ?? "";
  const named = recipes.filter(({ name }) => names.includes(name));
  const others = recipes.filter((recipe) => !named.includes(recipe));
  const all = turn !== ""
    ? [...named, ...others.filter((_, index) => isTurnOf(index, way, Number(turn)))]
    : names.length > 0
    ? named
    : recipes;
  const list = all.filter(({ data }) => way !== "bosh" || data === undefined);
  print(`recipes, ${way}: ${list.map(({ name }) => name).join(" ")}`);
  return list;
}

function isTurnOf(index: number, way: typeof WAYS[number], turn: number): boolean {
  return (index + WAYS.indexOf(way) + turn) % WAYS.length === 0;
}
