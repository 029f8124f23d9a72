// The features table: real rows and links, so it can be read, tabbed and found in the page.
// Sorting, filtering and paging happen on the server; this shows one page of the answer.

function headCell(column, data, setTriggerValue) {
  const cell = make("th", column.kind === "number" ? "num" : "")
  cell.scope = "col"
  if (column.help) cell.title = column.help
  if (!column.sort) {
    cell.append(make("span", "plain", column.title))
    return cell
  }
  const sorted = data.sort === column.sort
  const arrow = sorted ? (data.descending ? " ↓" : " ↑") : ""
  const button = make("button", "", column.title + arrow)
  button.type = "button"
  if (sorted) cell.setAttribute("aria-sort", data.descending ? "descending" : "ascending")
  button.onclick = () => setTriggerValue("sort", column.sort)
  cell.append(button)
  return cell
}

/** `text` with every occurrence of one of `words` marked. */
function putMarked(parent, text, words) {
  const wanted = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).filter(Boolean)
  const parts = wanted.length ? text.split(new RegExp(`(${wanted.join("|")})`, "i")) : [text]
  parts.forEach((part, index) => {
    if (!part) return
    const into = index % 2 ? make("mark", "hit") : parent
    putText(into, part, true)
    if (index % 2) parent.append(into)
  })
}

function excerpt(cell, found) {
  if (!found) return
  const hit = make("mark", found.found ? "hit" : "peak")
  putText(hit, found.hit)
  const [before, after] = [make("span"), make("span")]
  putText(before, found.before, true)
  putText(after, found.after, true)
  cell.dir = "auto"
  cell.title = found.before + found.hit + found.after
  cell.append(before, hit, after)
}

function bodyCell(column, row, words) {
  const cell = make("td", column.kind === "number" ? "num" : `c-${column.key}`)
  const value = row[column.key]
  if (column.key === "feature") {
    const link = make("a", "", String(value))
    link.href = row.href
    cell.append(link)
  } else if (column.key === "label") {
    const text = make("span", value === null ? "missing" : "")
    text.dir = "auto"
    if (value === null) putText(text, row.missing)
    else putMarked(text, value, words)
    cell.append(text)
  } else if (column.key === "status") {
    cell.append(make("span", `status ${value}`, value))
    if (row.flagged) cell.append(make("span", "flag", " ⚑ flagged"))
  } else if (column.key === "top_tokens") {
    cell.className = "c-tokens"
    for (const token of value) {
      const chip = make("span", "chip")
      putText(chip, token)
      cell.append(chip)
    }
    cell.title = value.join("  ")
  } else if (column.key === "excerpt") {
    excerpt(cell, value)
  } else if (column.kind === "number") {
    const written = () => (column.digits ? value.toFixed(column.digits) : short(value))
    if (value === null && row.why[column.key]) cell.title = row.why[column.key]
    cell.textContent = value === null ? "–" : column.percent ? `${short(value * 100)} %` : written()
    if (row.bars[column.key] !== undefined) {
      cell.classList.add("bar")
      cell.style.setProperty("--w", row.bars[column.key])
    }
  } else {
    putText(cell, value ?? "")
    cell.title = value ?? ""
  }
  return cell
}

const ticks = new WeakMap()

export default function (component) {
  const { data, parentElement, setTriggerValue, setStateValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  // Ticks that the server has not heard of yet are ours; else what it says counts.
  const before = ticks.get(root)
  const ours = before?.study === data.study && before.version > data.ticked ? before : null
  const mine = ours ?? { study: data.study, version: data.ticked, picked: new Set(data.picked), anchor: before?.anchor }
  ticks.set(root, mine)
  const picked = mine.picked
  const publish = () => {
    mine.version += 1
    const page = data.rows.map((row) => row.feature)
    setStateValue("picked", { page, on: [...picked], version: mine.version, study: data.study })
  }

  const table = make("table")
  table.setAttribute("aria-label", data.title)
  const columns = make("colgroup")
  for (const width of ["2.2rem", ...data.columns.map((column) => column.width ?? "")]) {
    const column = make("col")
    column.style.width = width
    columns.append(column)
  }
  const head = make("tr")
  const all = make("input")
  all.type = "checkbox"
  all.setAttribute("aria-label", "Select every feature on this page")
  all.checked = data.rows.length > 0 && data.rows.every((row) => picked.has(row.feature))
  const corner = make("th", "pick")
  corner.append(all)
  head.append(corner, ...data.columns.map((column) => headCell(column, data, setTriggerValue)))
  const thead = make("thead")
  thead.append(head)
  const body = make("tbody")
  for (const row of data.rows) {
    const line = make("tr", picked.has(row.feature) ? "picked" : "")
    if (row.feature === data.last) {
      line.classList.add("last")
      line.setAttribute("aria-current", "true")
    }
    line.dataset.feature = row.feature
    const box = make("input")
    box.type = "checkbox"
    box.checked = picked.has(row.feature)
    box.setAttribute("aria-label", `Select feature ${row.feature}`)
    const first = make("td", "pick")
    first.append(box)
    line.append(first, ...data.columns.map((column) => bodyCell(column, row, data.words)))
    body.append(line)
  }
  table.append(columns, thead, body)
  // Keep the keyboard where it was when a page of the same table is drawn again.
  const active = parentElement.activeElement ?? null
  const place = active?.closest?.("tr")?.dataset.feature
  const tag = active?.tagName
  const fresh = !root.firstChild
  root.replaceChildren(table)
  // Back from a feature: at its row, as it was left.
  if (fresh && data.arrived) body.querySelector("tr.last")?.scrollIntoView({ block: "center" })
  if (place && tag) body.querySelector(`tr[data-feature="${Number(place)}"] ${tag === "A" ? "a" : "input"}`)?.focus()

  all.onchange = () => {
    for (const row of data.rows) all.checked ? picked.add(row.feature) : picked.delete(row.feature)
    for (const box of body.querySelectorAll("input")) box.checked = all.checked
    publish()
  }
  let shift = false
  body.onchange = (event) => {
    const lines = [...body.children]
    const to = lines.indexOf(event.target.closest("tr"))
    // With Shift: all from the one ticked last, as this one.
    const from = shift ? lines.findIndex((line) => Number(line.dataset.feature) === mine.anchor) : -1
    const on = event.target.checked
    for (const line of from < 0 ? [lines[to]] : lines.slice(Math.min(from, to), Math.max(from, to) + 1)) {
      const feature = Number(line.dataset.feature)
      on ? picked.add(feature) : picked.delete(feature)
      line.querySelector("input").checked = on
      line.classList.toggle("picked", on)
    }
    mine.anchor = Number(lines[to].dataset.feature)
    shift = false
    publish()
  }
  body.onmousedown = (event) => {
    if (event.shiftKey && event.target.closest(".pick")) event.preventDefault() // selects no text
  }
  body.onclick = (event) => {
    const line = event.target.closest("tr")
    if (event.target.tagName === "INPUT" && event.detail) shift = event.shiftKey
    if (!line || event.target.closest(".pick")) return
    const link = event.target.closest("a")
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
    if (!link && String(getSelection())) return
    // A plain click changes the page inside the app; the link itself works in a new tab.
    event.preventDefault()
    setTriggerValue("open", Number(line.dataset.feature))
  }
  body.onkeydown = (event) => {
    const line = event.target.closest("tr")
    const to = { ArrowDown: line?.nextElementSibling, ArrowUp: line?.previousElementSibling }[event.key]
    if (event.key.toLowerCase() === "x" && event.target.tagName === "A") {
      shift = event.shiftKey
      line.querySelector("input").click()
    }
    if (!to) return
    event.preventDefault()
    to.querySelector(event.target.tagName === "A" ? "a" : "input")?.focus()
  }
}
