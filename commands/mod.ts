/** The table of commands. */
import type { Command } from "../lib/cli.ts";
import { claim } from "./claim.ts";
import { kill } from "./kill.ts";
import { pidproxy } from "./pidproxy.ts";
import { status } from "./status.ts";
import { waitUntilHealthy } from "./wait_until_healthy.ts";

export { pidproxy };

export const commands: readonly Command[] = [claim, kill, status, waitUntilHealthy, pidproxy];
