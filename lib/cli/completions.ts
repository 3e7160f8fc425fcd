/** The completion scripts of shells, made from the table of commands. */
import { type Command, COMMON_FLAGS, type Flag } from "./args.ts";

/** The shells there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The script for one of `SHELLS`. */
export function completionsFor(shell: string, commands: readonly Command[]): string {
  return shell === "bash" ? bash(commands) : shell === "zsh" ? zsh(commands) : fish(commands);
}

/** A command's flags, as a list. */
function flagsOf({ flags }: Command): (Flag<unknown> & { readonly name: string })[] {
  return Object.entries({ ...flags, ...COMMON_FLAGS }).map(([name, flag]) => ({ ...flag, name }));
}

/** Whether a flag's value is the name of a file. */
function takesFile({ value }: Flag<unknown>): boolean {
  return /FILE|PATH/.test(value ?? "");
}

/** In single quotes, as every one of the shells reads it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const flags = flagsOf(command);
    const names = (some: typeof flags): string => some.map(({ name }) => name).join(" ");
    const taking = flags.filter(({ value }) => value !== undefined);
    const { operands } = command;
    const rest = operands === undefined ? "" : operands.choices?.().join(" ") ?? "COMMAND";
    return `    ${command.name})
      flags=${quoted(flags.map(({ name }) => `--${name}`).join(" "))}
      files=${quoted(names(taking.filter(takesFile)))}
      values=${quoted(names(taking.filter((flag) => !takesFile(flag))))}
      operands=${quoted(rest)} ;;`;
  });
  const names = commands.map(({ name }) => name).join(" ");
  return `# bash completion of sipid
_sipid() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  # bash makes three words of --flag=value.
  if [[ $word == = ]]; then
    word=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  local flags='' files='' values='' operands=''
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  local name=\${previous#-}
  name=\${name#-}
  [[ $previous == -* ]] || name=''
  local -a how=(-W "$operands")
  if ((COMP_CWORD == 1)); then
    how=(-W ${quoted(`${names} --help --version`)})
  elif [[ -n $name && " $files " == *" $name "* ]]; then
    how=(-f)
  elif [[ -n $name && " $values " == *" $name "* ]]; then
    how=(-W '')
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
  const cases = commands.map((command) => {
    const specs = flagsOf(command).map((flag) => {
      const action = flag.value === undefined
        ? ""
        : `:${flag.value}:${takesFile(flag) ? "_files" : " "}`;
      return quoted(`--${flag.name}[${text(flag.help)}]${action}`);
    });
    const { operands } = command;
    const choices = operands?.choices?.().join(" ");
    if (choices !== undefined) specs.push(quoted(`1:${text(operands!.usage)}:(${choices})`));
    else if (operands !== undefined) {
      specs.push(quoted("1:PID_FILE:_files"), quoted("*::COMMAND:_normal"));
    }
    return `    ${command.name}) _arguments -S ${specs.join(" ")} ;;`;
  });
  const names = commands.map(({ name, purpose }) => quoted(`${name}:${text(purpose)}`));
  return `#compdef sipid
_sipid() {
  local -a names
  names=(${names.join(" ")})
  if (( CURRENT == 2 )); then
    _describe command names
    _arguments '--help[show the help]' '--version[show the version]'
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
  const lines = commands.flatMap((command) => {
    const { name, purpose, operands } = command;
    const within = `-n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    const choices = operands?.choices?.();
    return [
      `complete -c sipid -n __fish_use_subcommand -a ${name} -d ${quoted(purpose)}`,
      ...flagsOf(command).map((flag) => {
        const value = flag.value === undefined ? "" : takesFile(flag) ? " -r -F" : " -x";
        return `complete -c sipid ${within} -l ${flag.name}${value} -d ${quoted(flag.help)}`;
      }),
      ...(choices === undefined
        ? operands === undefined ? [] : [`complete -c sipid ${within} -F`]
        : [`complete -c sipid ${within} -a ${quoted(choices.join(" "))}`]),
    ];
  });
  return `# fish completion of sipid
complete -c sipid -f
complete -c sipid -n __fish_use_subcommand -l help -d 'show the help'
complete -c sipid -n __fish_use_subcommand -l version -d 'show the version'
${lines.join("\n")}
`;
}
