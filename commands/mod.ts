/** The table of commands. */
import type { Command } from "../lib/cli.ts";
import { claim } from "./claim.ts";
import { completionsFor } from "./completions.ts";
import { helpFor } from "./help.ts";
import { kill } from "./kill.ts";
import { pidproxy } from "./pidproxy.ts";
import { status } from "./status.ts";
import { waitUntilHealthy } from "./wait_until_healthy.ts";

export { pidproxy };

/** In the order of the help. */
export const commands: readonly Command[] = [
  claim,
  kill,
  status,
  waitUntilHealthy,
  pidproxy,
  helpFor(() => commands),
  completionsFor(() => commands),
];
