/** What a shell would have to interpret. */
const SHELL_CHARACTERS = /[|&;<>()$`\\*?[\]#~=%!{}\n]/;
const WORD = /"([^"]*)"|'([^']*)'|[^\s"']+/g;

/**
 * The program and arguments of `-c`: plain words are executed as they are, so that the traced main
 * program is the one named; anything else goes through the shell, as SystemTap does it.
 */
export function commandWords(command: string): readonly string[] {
  const quoted = command.replace(/'[^']*'/g, "");
  if (SHELL_CHARACTERS.test(quoted)) return ["/bin/sh", "-c", command];
  const words: string[] = [];
  let end = 0;
  for (const match of command.matchAll(WORD)) {
    const text = match[1] ?? match[2] ?? match[0];
    const joins = match.index === end && words.length > 0;
    if (joins) words.push((words.pop() ?? "") + text);
    else words.push(text);
    end = match.index + match[0].length;
  }
  return words;
}
