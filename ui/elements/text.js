// Text that comes from documents, vocabularies and people, put into the page safely:
// only ever as text nodes. Characters that cannot be seen get a quiet sign drawn by CSS
// (`data-g`), so an element's textContent stays exactly the text it was given.

const NAMED = new Map([
  ["\n", "↵"], ["\r", "␍"], ["\t", "⇥"], ["\u00a0", "⍽"], ["\u200b", "zwsp"],
  ["\u200c", "zwnj"], ["\u200d", "zwj"], ["\ufeff", "bom"], ["\u00ad", "shy"],
  ["\u200e", "lrm"], ["\u200f", "rlm"], ["\u061c", "alm"], ["\ufffd", "�"],
])

function sign(character) {
  const named = NAMED.get(character)
  if (named) return named
  const code = character.codePointAt(0)
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  if (code === 0x7f) return "␡"
  const bidi = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)
  const control = code >= 0x80 && code < 0xa0
  const lines = code === 0x2028 || code === 0x2029
  return bidi || control || lines ? "U+" + code.toString(16).toUpperCase().padStart(4, "0") : ""
}

/** Append `text` to `parent`. Spaces show as dots where nothing else would be seen; one
 * `calm` space between words does not. */
function putText(parent, text, calm = false) {
  const blank = text.length > 0 && text.trim() === "" && !(calm && text === " ")
  // A joiner inside an emoji is part of the picture, not a character of its own.
  const picture = /\p{Extended_Pictographic}/u.test(text)
  let plain = ""
  const flush = () => {
    if (plain) parent.append(document.createTextNode(plain))
    plain = ""
  }
  for (const character of text) {
    let mark = blank && character === " " ? "·" : sign(character)
    if (picture && character === "\u200d") mark = ""
    if (!mark) {
      plain += character
      continue
    }
    flush()
    const quiet = document.createElement("span")
    quiet.className = "quiet"
    quiet.dataset.g = mark
    quiet.textContent = character
    parent.append(quiet)
  }
  flush()
}

function make(tag, className, text) {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text
  return element
}

/** Three significant digits without trailing noise; exponents only where nothing else is short. */
function short(value) {
  if (value === 0) return "0"
  const size = Math.abs(value)
  if (size >= 100000 || size < 0.0001) return value.toExponential(1)
  if (size >= 100) return value.toFixed(0)
  return size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3)))
}

/** Whether the page behind `host` is dark; themes only hand over colours. */
function isDark(host) {
  const colour = getComputedStyle(host).getPropertyValue("--st-background-color").trim()
  const hex = /^#([0-9a-f]{6})/i.exec(colour)
  if (!hex) return false
  const [red, green, blue] = [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16))
  return red * 0.3 + green * 0.59 + blue * 0.11 < 128
}
