// The features found: real rows and links. A click on a row shows where the feature fires; the
// number is a link to its page.

const HEADS = [
  ["", "num", ""],
  ["Feature", "num", "", "feature"],
  ["Label", "", "Its label as it is now"],
  ["Evidence", "num", "By how many standard deviations of chance it tells positive documents from the others; grey where it is not significant at a false discovery rate of 1 %", "evidence"],
  ["q", "num", "p-value, corrected for the number of features"],
  ["AUROC", "num", "Chance that a positive document holds a higher value than another, with its 95 % interval", "auroc"],
  ["", "", ""],
  ["Difference", "num", "Mean value in positive documents less that in the others", "difference"],
  ["Fisher", "num", "Squared mean difference over the sum of the variances", "fisher"],
  ["Density", "num", "Firings a token in positive documents over those in the others, with its 95 % interval over documents", "density_ratio"],
  ["Fires in", "num", "Positive documents, and others, in which it fires"],
]
const WIDTHS = ["2.6rem", "4.6rem", "", "6rem", "4.8rem", "8.6rem", "7rem", "5.6rem", "4.6rem", "10rem", "7rem"]

function between([value, low, high], digits) {
  const written = (number) => (digits ? number.toFixed(digits) : short(number))
  return [written(value), `${written(low)}–${written(high)}`]
}

function interval(values) {
  const box = make("div", "range")
  box.setAttribute("aria-hidden", "true")
  const place = (value) => `${Math.min(Math.max(value, 0), 1) * 100}%`
  const [value, low, high] = values
  const half = make("i", "half")
  const line = make("i", "line")
  line.style.left = place(low)
  line.style.width = `${Math.max(high - low, 0.01) * 100}%`
  const dot = make("i", "dot")
  dot.style.left = place(value)
  box.append(half, line, dot)
  return box
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  const table = make("table")
  table.setAttribute("aria-label", "Features found")
  const columns = make("colgroup")
  for (const width of WIDTHS) {
    const column = make("col")
    column.style.width = width
    columns.append(column)
  }
  const head = make("tr")
  for (const [title, kind, help, ranks] of HEADS) {
    const cell = make("th", kind, ranks === data.ranking ? `${title} ↓` : title)
    cell.scope = "col"
    if (help) cell.title = help
    if (ranks === data.ranking) cell.setAttribute("aria-sort", "descending")
    head.append(cell)
  }
  const thead = make("thead")
  thead.append(head)
  const body = make("tbody")
  data.rows.forEach((row, index) => {
    const line = make("tr", row.significant ? "" : "weak")
    line.dataset.feature = row.feature
    if (row.feature === data.open) line.setAttribute("aria-current", "true")
    const link = make("a", "", String(row.feature))
    link.href = row.href
    const number = make("td", "num")
    number.append(link)
    const label = make("td", "label")
    label.dir = "auto"
    const text = make("span", row.label === null ? "missing" : "")
    putText(text, row.label ?? row.missing, true)
    label.append(text)
    label.title = row.label ?? ""
    const evidence = make("td", "num bar", row.evidence.toFixed(1))
    evidence.style.setProperty("--w", row.share)
    const auroc = make("td", "num")
    const [value, range] = between(row.auroc, 2)
    auroc.append(make("span", "", value), make("span", "faint", range))
    const picture = make("td", "")
    picture.append(interval(row.auroc))
    const density = make("td", "num")
    const [times, span] = between(row.ratio, 0)
    density.append(make("span", "", `× ${times}`), make("span", "faint", span))
    const show = make("button", "", "Where it fires")
    show.type = "button"
    show.className = "places"
    show.setAttribute("aria-pressed", String(row.feature === data.open))
    show.textContent = `${index + 1}`
    show.title = "Show where it fires in positive documents"
    const place = make("td", "num")
    place.append(show)
    line.append(
      place, number, label, evidence,
      make("td", "num", row.q < 0.001 ? row.q.toExponential(0) : short(row.q)),
      auroc, picture,
      make("td", "num", short(row.difference)),
      make("td", "num", row.fisher === null ? "–" : short(row.fisher)),
      density,
      make("td", "num", `${row.fires[0]} + ${row.fires[1]}`),
    )
    body.append(line)
  })
  table.append(columns, thead, body)
  root.replaceChildren(table)
  body.onclick = (event) => {
    const line = event.target.closest("tr")
    if (!line || event.target.closest("a") || String(getSelection())) return
    setTriggerValue("places", Number(line.dataset.feature))
  }
}
