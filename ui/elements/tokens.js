// The highlighted-token view. One element holds all rows; listeners sit on the root.

const seen = new WeakMap()
const SIGNS = { right: "✓", wrong: "✗", missing: "?" }

function token(row, index, data) {
  const text = row.tokens[index]
  const value = row.values[index]
  const span = make("span", "t")
  span.dataset.i = index
  // The space before a word stays outside the mark: lines break there, and marks hug words.
  const word = make("span", "w")
  const lead = text.length > 1 && text[0] === " " && text.trim() !== "" ? " " : ""
  const strength = index === row.shown ? row.values[row.peak] : value
  if (strength !== 0) {
    span.classList.add("on")
    // Of an SAE with signed activations, strength is magnitude; the number shows the sign.
    word.style.setProperty("--s", Math.min(Math.abs(strength) / (data.scale || 1), 1).toFixed(3))
  }
  if (index === (row.shown ?? row.peak)) span.classList.add(row.activation !== 0 ? "peak" : "middle")
  if (index in row.special) {
    span.classList.add("special")
    word.dataset.name = row.special[index]
  } else if (text === "") span.classList.add("part")
  if (text.length > 120) span.classList.add("long")
  if (row.marked.includes(index)) span.classList.add("marked")
  span.tabIndex = index === row.peak ? 0 : -1
  putText(word, text.slice(lead.length), value === 0 && index !== (row.shown ?? row.peak))
  span.append(lead, word)
  return span
}

function line(row, number, data) {
  const box = make("div", "row")
  box.dataset.row = number
  if (row.verdict) {
    const verdict = make("div", `act verdict ${row.verdict}`)
    verdict.append(make("span", "sign", SIGNS[row.verdict]), make("span", "", row.judged))
    verdict.firstChild.setAttribute("aria-label", row.verdict)
    verdict.firstChild.setAttribute("role", "img")
    box.append(verdict)
  } else box.append(make("div", "act", row.activation !== 0 ? short(row.activation) : "0"))
  const text = make("div", "text")
  text.dir = "auto"
  const halves = [make("span", "half before"), make("span", "half after")]
  const inner = make("span")
  halves[0].append(inner)
  for (let index = 0; index < row.tokens.length; index += 1) {
    const into = index < row.peak ? inner : halves[1]
    into.append(token(row, index, data))
  }
  text.append(...halves)
  box.append(text)
  const where = make("div", "where")
  if (row.note) where.append(make("span", "note", row.note))
  const copy = make("button", "copy", "copy")
  copy.type = "button"
  copy.setAttribute("aria-label", "Copy the text of this example")
  where.append(copy)
  if (data.openable) {
    const open = make("button", "open", `doc ${row.document} · ${row.position}`)
    open.type = "button"
    open.setAttribute("aria-label", `Open document ${row.document} at token ${row.position}`)
    where.append(open)
  } else where.append(make("span", "", `tokens ${row.start}–${row.start + row.tokens.length - 1}`))
  box.append(where)
  if (row.why) {
    const why = make("div", "why")
    putText(why, row.why, true)
    box.append(why)
  }
  return box
}

function build(root, data) {
  const rows = []
  const tip = make("div", "tip")
  tip.id = "tip"
  tip.hidden = true
  tip.setAttribute("role", "tooltip")
  root.replaceChildren()
  for (const group of data.groups) {
    const section = make("section", "group")
    if (group.title) {
      // One group alone needs no heading; it stays for screen readers.
      const heading = make("h3", data.groups.length === 1 && group.rows.length ? "alone" : "")
      const name = make("span")
      putText(name, group.title)
      heading.append(name, make("span", "note", group.note))
      section.append(heading)
    }
    if (group.rows.length) {
      const list = make("div", "rows")
      for (const row of group.rows) {
        rows.push(row)
        list.append(line(row, rows.length - 1, data))
      }
      section.append(list)
    } else section.append(make("div", "none", group.empty || "Nothing here."))
    root.append(section)
  }
  root.append(tip)
  return rows
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".root")
  const host = parentElement.host ?? parentElement
  root.classList.toggle("dark", isDark(host))
  root.classList.toggle("line", data.layout === "line")
  const key = JSON.stringify(data)
  const before = seen.get(root)
  if (before?.key === key) return
  before?.listening.abort()
  const listening = new AbortController()
  seen.set(root, { key, listening, subject: data.subject })
  // Another feature is read from its first example on.
  if (before && before.subject !== data.subject) {
    document.querySelector('[data-testid="stMain"]')?.scrollTo({ top: 0 })
  }
  const on = (name, handler) => root.addEventListener(name, handler, { signal: listening.signal })
  const rows = build(root, data)
  const tip = root.querySelector(".tip")

  const rowOf = (element) => rows[Number(element.closest(".row").dataset.row)]
  const hide = () => {
    tip.hidden = true
  }
  const show = (span) => {
    const row = rowOf(span)
    const index = Number(span.dataset.i)
    const parts = [make("b", "", row.values[index] !== 0 ? String(Number(row.values[index].toPrecision(7))) : "0")]
    const written = make("span")
    putText(written, row.special[index] ?? row.tokens[index])
    const place = `  token ${row.ids[index]} · position ${row.start + index}`
    const part = span.classList.contains("part") ? " · rest of the character before" : ""
    tip.replaceChildren(...parts, make("span", "", "  "), written, make("span", "", place + part))
    tip.hidden = false
    const box = span.getBoundingClientRect()
    const frame = root.getBoundingClientRect()
    const left = Math.min(box.left - frame.left, frame.width - tip.offsetWidth - 4)
    tip.style.left = `${Math.max(left, 0)}px`
    const above = box.top - frame.top - tip.offsetHeight - 5
    tip.style.top = `${above > -24 ? above : box.bottom - frame.top + 5}px`
    span.setAttribute("aria-describedby", "tip")
  }
  on("pointerover", (event) => {
    const span = event.target.closest?.(".t")
    if (span) show(span)
    else hide()
  })
  on("pointerleave", hide)
  on("focusin", (event) => (event.target.classList.contains("t") ? show(event.target) : hide()))
  on("focusout", hide)
  on("keydown", (event) => {
    const span = event.target.closest?.(".t")
    if (!span || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Escape") hide()
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const all = [...span.closest(".text").querySelectorAll(".t")]
    const to = step ? all[all.indexOf(span) + step] : event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : null
    if (event.key === "Enter" && data.openable) span.closest(".row").querySelector(".open").click()
    if (!to) return
    // Arrow keys walk the tokens here; the page's own shortcuts must not see them.
    event.preventDefault()
    event.stopPropagation()
    to.focus()
  })
  on("click", (event) => {
    const button = event.target.closest?.("button")
    if (!button) return
    const row = rowOf(button)
    if (button.classList.contains("open")) {
      setTriggerValue("open", { sequence: row.sequence, position: row.position })
    } else {
      const done = () => (button.textContent = "copied")
      navigator.clipboard?.writeText(row.tokens.join("")).then(done)
      setTimeout(() => (button.textContent = "copy"), 1500)
    }
  })
}
