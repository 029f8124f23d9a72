// The next tokens whose probability changed most: before and after as bars.

const percent = (value) => {
  if (value >= 0.0995) return `${(value * 100).toFixed(0)} %`
  if (value >= 0.001) return `${(value * 100).toFixed(1)} %`
  return value > 0 ? "< 0.1 %" : "0 %"
}

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.replaceChildren(make("h3", "", "Next token after the prompt: what changed most"))
  if (!data.rows.length) {
    root.append(make("div", "none", data.empty))
    return
  }
  const most = Math.max(...data.rows.map((row) => Math.max(row.unsteered, row.steered)))
  const list = make("div", "list")
  for (const row of data.rows) {
    const line = make("div", "change")
    const token = make("span", "token")
    putText(token, row.text)
    const bars = make("span", "bars")
    for (const side of ["unsteered", "steered"]) {
      const bar = make("i", side)
      bar.style.width = `${(row[side] / most) * 100}%`
      bars.append(bar)
    }
    line.append(token, bars, make("span", "value", `${percent(row.unsteered)} → ${percent(row.steered)}`))
    list.append(line)
  }
  root.append(list)
}
