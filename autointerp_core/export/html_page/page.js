"use strict"
const SHOWN = 500
const SIGNS = { "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽" }
const read = (id) => JSON.parse(document.getElementById(id).textContent)
const list = read("list")
const article = document.querySelector("article")
const box = document.querySelector("nav ul")
const find = document.getElementById("find")

function make(tag, className, text) {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined && text !== null) element.textContent = text
  return element
}

// Characters that are not seen, or that turn text round, are shown by a sign.
function put(parent, text) {
  for (const piece of text.split(/([\n\t\r\u00a0\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff])/u)) {
    if (piece.length !== 1 || !(piece in SIGNS || /[\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(piece))) {
      parent.append(piece)
      continue
    }
    const code = "U+" + piece.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")
    parent.append(make("span", "sign", SIGNS[piece] ?? code))
    if (piece === "\n") parent.append("\n")
  }
}

function plain(tag, className, text) {
  const element = make(tag, className)
  put(element, text)
  return element
}

const number = (value) => (value === null ? "unknown" : Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))))

function example([activation, document_, position, peak, tokens, values], most) {
  const row = make("div", "row")
  const text = make("div", "text")
  text.dir = "auto"
  tokens.forEach((token, index) => {
    const span = make("span", values[index] > 0 ? "on" : "")
    span.style.setProperty("--s", Math.min(values[index] / (most || 1), 1).toFixed(3))
    span.title = `${number(values[index])}`
    if (index === peak) span.classList.add("peak")
    put(span, token)
    text.append(span)
  })
  row.append(make("div", "act", number(activation)), text, make("div", "where", `doc ${document_} · ${position}`))
  return row
}

function scores(found) {
  const table = make("table")
  const head = make("tr")
  for (const name of ["scorer", "value", "95 % interval", "chance floor", "other features' labels", "judgements"]) head.append(make("th", "", name))
  table.append(head)
  for (const [name, said] of Object.entries(found)) {
    const score = typeof said === "number" ? { value: said } : said
    if (!score || typeof score !== "object") continue
    const row = make("tr")
    row.append(plain("td", "", name))
    if (typeof score.value !== "number") {
      const why = plain("td", "note", `no score${score.reason ? `: ${score.reason}` : ""}`)
      why.colSpan = 5
      row.append(why)
    } else {
      const interval = typeof score.low === "number" && typeof score.high === "number" ? `${number(score.low)}–${number(score.high)}` : ""
      for (const cell of [number(score.value), interval, number(score.floor ?? null), number(score.shuffled ?? null), String(score.n ?? "")]) row.append(make("td", "", cell))
    }
    table.append(row)
  }
  return table
}

function logits(title, pairs) {
  const side = make("div")
  side.append(make("h3", "", title))
  const table = make("table")
  for (const [text, value] of pairs) {
    const row = make("tr")
    row.append(plain("td", "text", text), make("td", "", number(value)))
    table.append(row)
  }
  side.append(table)
  return side
}

function show(feature) {
  const data = read(`f${feature}`)
  const label = data.label
  article.replaceChildren()
  const title = make("h2", "", `${feature}  `)
  put(title, label.label ?? "no label")
  article.append(title)
  const facts = [`status: ${label.status}${label.flagged ? ", flagged" : ""}`, `density ${number(data.density)}`, `max ${number(data.max)}`, `fires in ${label.num_examples} sequences`]
  if (label.score !== null) facts.push(`input score ${number(label.score)}`)
  article.append(make("p", "note", facts.join(" · ")))
  for (const [name, text] of [["Language model proposed", label.label_llm], ["Search proposed", label.label_search], ["Note", data.note]]) {
    if (text) {
      const line = make("div")
      line.append(make("span", "note", `${name}: `))
      put(line, text)
      article.append(line)
    }
  }
  if (label.form_search) {
    const line = make("div")
    line.append(make("span", "note", "as a semantic regex: "), plain("code", "", label.form_search))
    article.append(line)
  }
  if (Object.keys(label.scores).length) article.append(make("h3", "", "Scores of the label, on documents its maker never saw"), scores(label.scores))
  article.append(make("h3", "", `Top examples (${data.examples.length}), one a sequence`))
  if (!data.examples.length) article.append(make("p", "note", "It never fires on the counted tokens of this study."))
  for (const one of data.examples) article.append(example(one, data.max))
  if (data.raised.length) {
    const sides = make("div", "sides")
    sides.append(logits("Tokens it makes likelier", data.raised), logits("Tokens it makes less likely", data.lowered))
    article.append(sides)
  }
  for (const button of box.querySelectorAll("button")) button.setAttribute("aria-current", String(button.dataset.f === String(feature)))
  history.replaceState(null, "", `#${feature}`)
}

let matching = list
function draw() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean)
  matching = list.filter(([feature, label]) => words.every((word) => String(feature) === word || (label ?? "").toLowerCase().includes(word)))
  box.replaceChildren()
  for (const [feature, label, status] of matching.slice(0, SHOWN)) {
    const button = make("button")
    button.type = "button"
    button.dataset.f = feature
    button.append(make("b", "", feature), plain("span", status === "unreviewed" ? "" : "decided", label ?? "no label"))
    button.addEventListener("click", () => show(feature))
    const item = make("li")
    item.append(button)
    box.append(item)
  }
  if (matching.length > SHOWN) box.append(make("li", "note", `${matching.length - SHOWN} more: type to find them`))
  if (!matching.length) box.append(make("li", "note", "No feature matches."))
}

function current() {
  return matching.findIndex(([feature]) => `#${feature}` === location.hash)
}

document.querySelector("h1").textContent = document.title
for (const [name, value] of read("study")) {
  const pair = make("div")
  pair.append(make("dt", "", name), plain("dd", "", value))
  document.getElementById("facts").append(pair)
}
find.addEventListener("input", draw)
document.addEventListener("keydown", (event) => {
  if (event.target === find || event.ctrlKey || event.metaKey || event.altKey) return
  const step = { j: 1, k: -1 }[event.key.toLowerCase()]
  const to = step && matching[current() + step]
  if (to) show(to[0])
})
draw()
const asked = list.find(([feature]) => `#${feature}` === location.hash)
if (asked ?? list[0]) show((asked ?? list[0])[0])
