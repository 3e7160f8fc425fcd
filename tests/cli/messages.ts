/// <reference lib="deno.unstable" />
/** Finds every text in the source of main.ts, commands and lib, with the calls it stands in. */
import { ROOT } from "../support.ts";

/** A string, a template, or a concatenation of them. */
export interface SourceText {
  readonly file: string;
  readonly line: number;
  /** The text, with `FILLED` for each expression in it. */
  readonly text: string;
  /** The names of the calls and properties around it, outermost first: `["flag"]`. */
  readonly context: readonly string[];
}

/** Stands for an expression that a template or a concatenation fills in. */
export const FILLED = "…";

type Node = Deno.lint.Node;

function textOf(node: Node): string {
  if (node.type === "Literal") return typeof node.value === "string" ? node.value : FILLED;
  if (node.type === "TemplateLiteral") {
    return node.quasis.map(({ cooked }) => cooked).join(FILLED);
  }
  return isConcatenation(node) ? textOf(node.left) + textOf(node.right) : FILLED;
}

function isConcatenation(node: Node): node is Deno.lint.BinaryExpression {
  return node.type === "BinaryExpression" && node.operator === "+";
}

/** Returns the name that a node gives to what it contains. */
function nameOf(node: Node): string | undefined {
  switch (node.type) {
    case "CallExpression":
    case "NewExpression": {
      const { callee } = node;
      const name = callee.type === "MemberExpression" ? callee.property : callee;
      return name.type === "Identifier" ? name.name : undefined;
    }
    case "Property":
      return node.key.type === "Identifier" ? node.key.name : undefined;
    case "ImportDeclaration":
    case "ImportExpression":
      return "import";
    default:
      return undefined;
  }
}

function parentOf(node: Node): Node | null {
  return "parent" in node ? node.parent as Node : null;
}

function contextOf(node: Node): string[] {
  const names: string[] = [];
  for (let at = parentOf(node); at !== null; at = parentOf(at)) {
    const name = nameOf(at);
    if (name !== undefined) names.unshift(name);
  }
  return names;
}

/** Reads the texts of one file, by a plugin for Deno's linter, which parses it. */
export function textsOf(file: string, source: string): SourceText[] {
  const found: SourceText[] = [];
  const add = (node: Node): void => {
    // The outermost concatenation stands for its parts.
    const parent = parentOf(node);
    if (parent !== null && isConcatenation(parent)) return;
    const line = source.slice(0, node.range[0]).split("\n").length;
    found.push({ file, line, text: textOf(node), context: contextOf(node) });
  };
  const create = (): Deno.lint.LintVisitor => ({
    Literal: add,
    TemplateLiteral: add,
    BinaryExpression: (node) => {
      if (isConcatenation(node)) add(node);
    },
  });
  Deno.lint.runPlugin({ name: "messages", rules: { texts: { create } } }, file, source);
  return found;
}

/** Reads the texts of main.ts and of every file below commands and lib. */
export function allTexts(): SourceText[] {
  const found: SourceText[] = [];
  const visit = (path: string): void => {
    if (Deno.statSync(ROOT + path).isDirectory) {
      for (const { name } of Deno.readDirSync(ROOT + path)) visit(`${path}/${name}`);
    } else if (path.endsWith(".ts")) {
      found.push(...textsOf(path, Deno.readTextFileSync(ROOT + path)));
    }
  };
  ["main.ts", "commands", "lib"].forEach(visit);
  return found;
}

/** Returns a pattern of what a text prints; `$1` is what a replacement fills in. */
export function patternOf(text: string): RegExp {
  const trimmed = text.replace(/^…[\s:;,]*/, "").trim();
  const fixed = trimmed.split(/…|\$\d/).map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(fixed.join("[^\\n]*?"));
}
