// The texts of an Adaptive Card are read as Markdown, and some renderers let HTML and images through (Web Chat loads
// `<img src>` in a text: a tracking pixel). What must not be read that way is broken by an invisible WORD JOINER, which
// shows nothing: escapes alone would trust each renderer to know them.
const JOINER = '\u2060';

/** Opens a tag, a comment or an autolink. */
const TAG = /<(?=[a-zA-Z/!?])/g;
const IMAGE = /!(?=\[)/g;
const GOOD_TARGET = /^\((?:https?:\/\/[^\s()<>"'\\`]+|mailto:[^\s()<>"'\\`]+|tel:[+\d().-]+)\)/i;

/** `text` so that any renderer of Markdown shows just what it says. */
export function plain(text: string): string {
  return text
    .replace(/\\(?=[!-/:-@[-`{-~])/g, '\\\\')
    .replace(/[*`[]/g, '\\$&')
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_')
    .replace(/~(?=~)/g, '\\~')
    .replace(/&(?=#?\w+;)/g, `&${JOINER}`)
    .replace(/^(\s*)(#{1,6}|>|[-+])(?=\s|$|>)/gm, (_all, blank: string, mark: string) => `${blank}\\${mark}`)
    .replace(/^(\s*\d+)([.)])(?=\s|$)/gm, '$1\\$2')
    .replace(/^([ \t]*)(-{3,}|={2,})[ \t]*$/gm, '$1\\$2')
    .replace(TAG, `<${JOINER}`)
    .replace(/\r\n?/g, '\n');
}

/** Markdown of an author, without HTML, without images, and with links to http, https, mailto and tel only. */
export function tame(text: string): string {
  return (
    text
      .replace(TAG, `<${JOINER}`)
      .replace(IMAGE, `!${JOINER}`)
      .replace(/\](?=\()/g, (bracket, at: number, whole: string) =>
        GOOD_TARGET.test(whole.slice(at + 1, at + 2_100)) ? bracket : `]${JOINER}`,
      )
      // Reference links find their target elsewhere in the text: none of them has one.
      .replace(/\](?=\s*:)/g, `]${JOINER}`)
  );
}
