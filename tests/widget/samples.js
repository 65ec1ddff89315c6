/** Texts that use every construct which answers may contain. */
export const SAMPLES = [
  "# Title\n\nA paragraph with *emphasis*, **strong _nested_ text**, ~~gone~~ and `code`.",
  "Setext\n======\n\nSub\n---\n\ntext",
  "- one\n- two\n  - nested\n    more\n  - again\n\n- loose\n\n  second paragraph\n\nafter the list",
  "1. one\n\n2. two\n\n3. three\n\ntext\n\n3. starts at three\n4. four",
  "- [ ] open\n- [x] done\n\n* other list\n+ third list",
  "```python\nprint('```')\n\n# not a heading\n```\n\ntail",
  "    indented\n\n    code\n\nno code",
  "> quote\nlazy\n>\n> - list in quote\n\n> second quote\n\nafter",
  "| a | b |\n|---|:-:|\n| 1 | `x|y` |\n| 2 |\n\ntext\nx | y\n--|--\n1 | 2\nnot a table\n\nend",
  "a | b\n--|--x\n\n---\n\n***\ntext\n- - -",
  "Answer [1], more [2][3]. [docs](https://example.com) <https://example.org> https://example.net/a_b mail@example.com",
  "line with two spaces  \nbreak and \\\nbackslash \\*escaped\\* &amp; &eacute;",
  "[1]: https://example.com 'title'\n\n[ref][1] and [1]\n\n![alt *x*](https://example.com/x.png)",
  "<div>\n\n*block* </div>\n<!-- open\n\ncomment --> tail\n<script>\nx\n\n</script>",
  "windows\r\n\r\n- line\r\n- ends\r\rold mac",
  "1) paren\n2) list\n10. other\n\n-\n- empty\n\n2\n\n1.\n",
  "Perché? 🌊 **già** «così» — fine…\n\ntext\n2. no list here\n1. a list",
  "~~~\nopen fence\n\n* never closed",
];

/** Texts that try to become markup, requests or unsafe links. */
export const HOSTILE = [
  "<script>alert(1)</script>",
  '<img src=x onerror=alert(1)> <svg/onload=alert(1)> <iframe src="//evil.example">',
  '<a href="javascript:alert(1)" style="position:fixed">x</a>',
  "[x](javascript:alert(1)) [x](JaVaScRiPt:alert(1)) [x](java&#10;script:alert(1))",
  "[x](<java\tscript:alert(1)>) [x](&#x6A;avascript:alert(1)) [x](\u0001javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>) [x](vbscript:x) [x](file:///etc/passwd)",
  "[x](blob:https://example.com/1) [x](//evil.example) [x](/relative) [x](https://)",
  "[bank.example](https://bank.example@evil.example/) <javascript:alert(1)>",
  "![x](https://evil.example/?leak) ![x](javascript:alert(1)) ![](data:image/svg+xml,x)",
  '[x](https://example.com "onmouseover=alert(1)") [x](https://example.com/"onclick=alert(1))',
  "```html onload=alert(1)\n<script>alert(1)</script>\n```",
  "| <img src=x> | [x](javascript:1) |\n|---|---|\n| <b onclick=x>y</b> | `<script>` |",
  "[1]: javascript:alert(1)\n\n[1] [x][1] ![y][1]",
  "<style>*{display:none}</style><link rel=stylesheet href=//evil.example><meta http-equiv=refresh>",
  "[\u202ex](https://example.com/\u202e) <https://example.com/\u200b>",
  "<!--><script>alert(1)</script>--> <![CDATA[<script>x</script>]]> <?php x ?>",
];

/**
 * Numbers in [0, 1) that are the same in each run.
 * @param {number} seed
 */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
