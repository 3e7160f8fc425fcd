/** What is needed once a process is running: loaded then, as one file. */
export { choose, leftovers, refuseLeaderless, trustedTarget } from "./signallable.ts";
export { planOf, stop } from "./stop.ts";
