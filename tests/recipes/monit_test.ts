import { chosen } from "./chosen.ts";
import { testRecipe } from "./scenarios.ts";
import { monit } from "./ways.ts";

for (const recipe of chosen("monit")) testRecipe(recipe, monit);
