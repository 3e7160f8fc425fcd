import { chosen } from "./chosen.ts";
import { testRecipe } from "./scenarios.ts";
import { bosh } from "./ways.ts";

for (const recipe of chosen("bosh")) testRecipe(recipe, bosh);
