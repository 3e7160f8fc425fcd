/** The completion scripts of shells, made from the table of commands. */
import { type Command, COMMON_FLAGS, type Flag, type Flags, PROGRAM_FLAGS } from "./command.ts";

/** The shells that have a completion script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** Returns the script for one of `SHELLS`. */
export function completionScript(shell: string, commands: readonly Command[]): string {
  return shell === "bash" ? bash(commands) : shell === "zsh" ? zsh(commands) : fish(commands);
}

interface NamedFlag extends Flag<unknown> {
  readonly name: string;
}

function named(flags: Flags): NamedFlag[] {
  return Object.entries(flags).map(([name, flag]) => ({ ...flag, name }));
}

function flagsOf({ flags }: Command): NamedFlag[] {
  return named({ ...flags, ...COMMON_FLAGS });
}

/** Returns the ways to write a flag: `-q` and `--quiet`. */
function spellings({ name, letter }: NamedFlag): string[] {
  return letter === undefined ? [`--${name}`] : [`-${letter}`, `--${name}`];
}

function takesFile({ placeholder }: Flag<unknown>): boolean {
  return /FILE|PATH/.test(placeholder ?? "");
}

/** Quotes a text in a way that all three shells read. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const flags = flagsOf(command);
    const names = (some: typeof flags): string => some.map(({ name }) => name).join(" ");
    const taking = flags.filter(({ placeholder }) => placeholder !== undefined);
    const { operands } = command;
    const choices = operands?.choices?.list(commands).join(" ");
    const rest = operands === undefined ? "" : choices ?? "COMMAND";
    return `    ${command.name})
      flags=${quoted(flags.flatMap(spellings).join(" "))}
      files=${quoted(names(taking.filter(takesFile)))}
      values=${quoted(names(taking.filter((flag) => !takesFile(flag))))}
      operands=${quoted(rest)}${
      flags.flatMap(({ name, words }) =>
        words === undefined ? [] : [`
      [[ $name == ${name} ]] && words=${quoted(words.join(" "))}`]
      ).join("")
    } ;;`;
  });
  const words = [...commands.map(({ name }) => name), ...named(PROGRAM_FLAGS).flatMap(spellings)];
  return `# bash completion of sipid
_sipid() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  # bash makes three words of --flag=value.
  if [[ $word == = ]]; then
    word=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  local name=\${previous#-}
  name=\${name#-}
  [[ $previous == -* ]] || name=''
  local flags='' files='' values='' operands='' words=''
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  local -a how=(-W "$operands")
  if ((COMP_CWORD == 1)); then
    how=(-W ${quoted(words.join(" "))})
  elif [[ -n $name && " $files " == *" $name "* ]]; then
    how=(-f)
  elif [[ -n $name && " $values " == *" $name "* ]]; then
    how=(-W "$words")
  elif [[ $word == -* ]]; then
    how=(-W "$flags")
  elif [[ $operands == COMMAND ]]; then
    how=(-f -c)
  fi
  mapfile -t COMPREPLY < <(compgen "\${how[@]}" -- "$word")
}
complete -o filenames -F _sipid sipid
`;
}

function zsh(commands: readonly Command[]): string {
  const text = (words: string): string => words.replace(/[[\]:\\]/g, "\\$&");
  const specs = (flags: readonly NamedFlag[]): string[] =>
    flags.flatMap((flag) => {
      const { placeholder, help, isRepeated, words } = flag;
      const values = words !== undefined
        ? `(${words.join(" ")})`
        : takesFile(flag)
        ? "_files"
        : " ";
      const action = placeholder === undefined ? "" : `:${placeholder}:${values}`;
      const all = spellings(flag);
      const prefix = isRepeated ? "*" : all.length > 1 ? `(${all.join(" ")})` : "";
      return all.map((spelling) => quoted(`${prefix}${spelling}[${text(help)}]${action}`));
    });
  const cases = commands.map((command) => {
    const { operands } = command;
    const choices = operands?.choices?.list(commands).join(" ");
    const words = choices !== undefined
      ? [quoted(`1:${text(operands!.usage)}:(${choices})`)]
      : operands !== undefined
      ? [
        ...(operands.usage.startsWith("PID_FILE") ? [quoted("1:PID_FILE:_files")] : []),
        quoted("*::COMMAND:_normal"),
      ]
      : [];
    return `    ${command.name}) _arguments -S ${
      [...specs(flagsOf(command)), ...words].join(" ")
    } ;;`;
  });
  const names = commands.map(({ name, summary }) => quoted(`${name}:${text(summary)}`));
  return `#compdef sipid
_sipid() {
  local -a names
  names=(${names.join(" ")})
  if (( CURRENT == 2 )); then
    _describe command names
    _arguments ${specs(named(PROGRAM_FLAGS)).join(" ")}
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _sipid ]; then _sipid "$@"; else compdef _sipid sipid; fi
`;
}

function fish(commands: readonly Command[]): string {
  const line = (condition: string, flag: NamedFlag): string => {
    const letter = flag.letter === undefined ? "" : ` -s ${flag.letter}`;
    const value = flag.placeholder === undefined ? "" : takesFile(flag) ? " -r -F" : " -x";
    const words = flag.words === undefined ? "" : ` -a ${quoted(flag.words.join(" "))}`;
    const names = `${letter} -l ${flag.name}${value}${words}`;
    return `complete -c sipid -n ${condition}${names} -d ${quoted(flag.help)}`;
  };
  const lines = commands.flatMap((command) => {
    const { name, summary, operands } = command;
    const within = quoted(`__fish_seen_subcommand_from ${name}`);
    const choices = operands?.choices?.list(commands);
    return [
      `complete -c sipid -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...flagsOf(command).map((flag) => line(within, flag)),
      ...(choices === undefined
        ? operands === undefined ? [] : [`complete -c sipid -n ${within} -F`]
        : [`complete -c sipid -n ${within} -a ${quoted(choices.join(" "))}`]),
    ];
  });
  return `# fish completion of sipid
complete -c sipid -f
${named(PROGRAM_FLAGS).map((flag) => line("__fish_use_subcommand", flag)).join("\n")}
${lines.join("\n")}
`;
}
