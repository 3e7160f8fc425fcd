/** Certificates for the tests, made by openssl. */
import { expectResult, run, TempDir } from "./support.ts";

/** An authority and the certificates it signs, as files in a directory of the test. */
export class Authority extends TempDir {
  readonly cert = this.file("ca.pem");

  static async create(): Promise<Authority> {
    const authority = new Authority();
    await openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      "/CN=sipid test authority",
      "-days",
      "2",
      "-keyout",
      authority.file("ca.key"),
      "-out",
      authority.cert,
    );
    return authority;
  }

  /** A certificate for 127.0.0.1, or what `extra` makes of it. */
  async sign(
    name: string,
    { san = "IP:127.0.0.1", days = "2" } = {},
  ): Promise<Pair> {
    const [cert, key, request] = ["pem", "key", "csr"].map((end) => this.file(`${name}.${end}`));
    await openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      key!,
      "-out",
      request!,
    );
    const extensions = this.write(`${name}.ext`, `subjectAltName=${san}\n`);
    await openssl(
      "x509",
      "-req",
      "-in",
      request!,
      "-CA",
      this.cert,
      "-CAkey",
      this.file("ca.key"),
      "-CAcreateserial",
      "-days",
      days,
      "-extfile",
      extensions,
      "-out",
      cert!,
    );
    return { cert: cert!, key: key! };
  }
}

/** Paths of PEM files. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Runs openssl, which must succeed. */
export async function openssl(...args: string[]): Promise<void> {
  expectResult(await run("openssl", args), { code: 0 });
}
