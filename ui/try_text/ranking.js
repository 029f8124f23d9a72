// Features of a text, best first: each can be opened and pinned.

function cell(tag, className, text) {
  return make(tag, className, text)
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.replaceChildren()
  const table = make("table")
  table.setAttribute("aria-label", data.title)
  const head = make("tr")
  for (const column of data.columns) {
    const th = cell("th", column.number ? "num" : "")
    th.scope = "col"
    if (column.help) th.title = column.help
    if (column.by) {
      const button = make("button", "", column.title + (column.by === data.by ? " ↓" : ""))
      button.type = "button"
      button.dataset.by = column.by
      if (column.by === data.by) th.setAttribute("aria-sort", "descending")
      th.append(button)
    } else th.append(make("span", "", column.title))
    head.append(th)
  }
  head.append(cell("th", "", ""))
  const thead = make("thead")
  thead.append(head)
  const body = make("tbody")
  for (const row of data.rows) {
    const line = make("tr")
    const first = cell("td", "num")
    const link = make("a", "", String(row.feature))
    link.href = row.href
    link.dataset.feature = row.feature
    first.append(link)
    const label = cell("td", row.label ? "label" : "label none")
    label.dir = "auto"
    putText(label, row.label || row.missing, true)
    line.append(first, label)
    row.values.forEach((value, at) => {
      const whole = data.columns[at + 2].whole
      const text = value === null ? "" : whole ? String(value) : value < 0 ? `−${short(-value)}` : short(value)
      line.append(cell("td", "num", text))
    })
    const last = cell("td", "pins")
    const pin = make("button", "", row.pinned ? "unpin" : "pin")
    pin.type = "button"
    pin.dataset[row.pinned ? "unpin" : "pin"] = row.feature
    pin.setAttribute("aria-label", `${row.pinned ? "Unpin" : "Pin"} feature ${row.feature}`)
    last.append(pin)
    line.append(last)
    body.append(line)
  }
  table.append(thead, body)
  root.append(table)
  root.onclick = (event) => {
    const button = event.target.closest("button")
    if (button?.dataset.by) return setTriggerValue("by", button.dataset.by)
    if (button?.dataset.pin) return setTriggerValue("pin", Number(button.dataset.pin))
    if (button?.dataset.unpin) return setTriggerValue("unpin", Number(button.dataset.unpin))
    const link = event.target.closest("a")
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    setTriggerValue("open", Number(link.dataset.feature))
  }
}
