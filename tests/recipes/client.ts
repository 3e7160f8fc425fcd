import { setUp, until } from "../support.ts";
import type { Machine } from "./machine.ts";
import type { Session } from "./recipe.ts";

/** A connection to the daemon, held by a client program on the machine. */
export class Client implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #session: Session;
  #seen = "";
  readonly #reading: Promise<void>;

  private constructor(child: Deno.ChildProcess, session: Session) {
    this.#child = child;
    this.#session = session;
    this.#reading = this.#read();
  }

  static connect(machine: Machine, session: Session): Promise<Client> {
    const child = new Deno.Command("nsenter", {
      args: [...machine.entry(), ...session.command],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const client = new Client(child, session);
    const [sent, printed] = session.before;
    return setUp(client, async () => {
      await client.#send(sent);
      await until(() => printed.test(client.#seen), () => `it is connected: ${client.#seen}`);
    });
  }

  async #send(text: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#seen += text;
    }
  }

  /** Goes on with the session, and returns all that the client has printed. */
  async finish(): Promise<string> {
    await this.#send(this.#session.after[0]);
    await this.#child.stdin.close();
    await this.#reading;
    return this.#seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has exited.
    }
    await this.#child.status;
  }
}
