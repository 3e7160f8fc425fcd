import { chosen } from "./chosen.ts";
import { testRecipe } from "./scenarios.ts";
import { plain } from "./ways.ts";

for (const recipe of chosen("plain")) testRecipe(recipe, plain);
