"use strict"
const read = (id) => JSON.parse(document.getElementById(id).textContent)
const main = document.querySelector("main")
const dark = matchMedia("(prefers-color-scheme: dark)")

function make(tag, className, text) {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined && text !== null) put(element, String(text))
  return element
}

// Characters that are not seen, or that turn text round, are shown by a sign.
const SIGNS = { "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽" }
function put(parent, text) {
  for (const piece of text.split(/([\n\t\r\u00a0\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff])/u)) {
    const hidden = piece.length === 1 && (piece in SIGNS || /[\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(piece))
    if (!hidden) {
      parent.append(piece)
      continue
    }
    const sign = document.createElement("span")
    sign.className = "sign"
    sign.textContent = SIGNS[piece] ?? "U+" + piece.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")
    parent.append(sign)
    if (piece === "\n") parent.append("\n")
  }
}

function table({ head, rows }) {
  const box = make("div", "wide")
  const found = make("table")
  const first = make("tr")
  for (const name of head) first.append(make("th", "", name))
  found.append(first)
  for (const row of rows) {
    const line = make("tr")
    for (const cell of row) line.append(make("td", "", cell))
    found.append(line)
  }
  box.append(found)
  return box
}

function window_({ note, verdict, tokens, values, marked }) {
  const row = make("div", "window")
  const text = make("div", "text")
  text.dir = "auto"
  const most = Math.max(...values.map(Math.abs), 1e-9)
  tokens.forEach((token, index) => {
    const span = make("span", values[index] ? "on" : "")
    span.style.setProperty("--s", Math.min(Math.abs(values[index]) / most, 1).toFixed(3))
    if (marked.includes(index)) span.classList.add("marked")
    put(span, token)
    text.append(span)
  })
  const where = make("div", "where", note)
  if (verdict === false) where.classList.add("wrong")
  row.append(where, text)
  return row
}

function feature({ title, note, windows }) {
  const box = make("details")
  const summary = make("summary")
  summary.append(make("strong", "", title), " ", make("span", "faint", note))
  box.append(summary, ...windows.map(window_))
  return box
}

function look(figure) {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim()
  const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim()
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line }
  const layout = { ...figure.layout, template: undefined, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif", size: 12 } }
  layout.xaxis = { ...axis, ...layout.xaxis }
  layout.yaxis = { ...axis, ...layout.yaxis }
  return layout
}

const drawn = []
function figure(spec) {
  const box = make("div", "figure")
  box.setAttribute("role", "img")
  box.setAttribute("aria-label", spec.title)
  drawn.push([box, spec.figure])
  return box
}

const facts = read("data-facts")
document.querySelector("h1").textContent = facts.title
for (const [name, value] of facts.rows) {
  const pair = make("div")
  pair.append(make("dt", "", name), make("dd", "", value))
  document.getElementById("facts").append(pair)
}
const KINDS = { text: (part) => make("p", part.faint ? "faint" : "", part.text), table, figure, feature, heading: (part) => make("h3", "", part.text) }
for (const section of read("data-sections")) {
  main.append(make("h2", "", section.title))
  let row = null
  for (const part of section.parts) {
    const made = KINDS[part.kind](part)
    if (part.kind !== "figure" || part.wide) {
      row = null
      main.append(made)
      continue
    }
    if (!row) {
      row = make("div", "figures")
      main.append(row)
    }
    row.append(made)
  }
}
function draw() {
  for (const [box, found] of drawn) Plotly.react(box, found.data, look(found), { displayModeBar: false, responsive: true })
}
draw()
dark.addEventListener("change", draw)
