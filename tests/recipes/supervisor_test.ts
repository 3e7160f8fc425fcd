import { chosen } from "./chosen.ts";
import { testRecipe } from "./scenarios.ts";
import { supervisor } from "./ways.ts";

for (const recipe of chosen("supervisor")) testRecipe(recipe, supervisor);
