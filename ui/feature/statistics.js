// Small lists of numbers: name and value pairs, and tokens with a bar.

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.replaceChildren()
  if (data.pairs.length) {
    const list = make("dl")
    for (const [name, value, about] of data.pairs) {
      const pair = make("div")
      pair.title = about
      pair.append(make("dt", "", name), make("dd", "", value))
      list.append(pair)
    }
    root.append(list)
  }
  if (!data.lists.length) return
  const lists = make("div", "lists")
  for (const { title, rows } of data.lists) {
    const section = make("section")
    const most = Math.max(...rows.map((row) => Math.abs(row[1])), 1e-9)
    const list = make("ol")
    for (const [text, value, id] of rows) {
      const item = make("li", value < 0 ? "down" : "")
      const token = make("span", "token")
      token.title = `token ${id}`
      putText(token, text)
      const track = make("span", "track")
      const bar = make("span")
      bar.style.setProperty("--w", Math.abs(value) / most)
      track.append(bar)
      item.append(token, track, make("span", "value", (value > 0 ? "+" : "") + short(value)))
      list.append(item)
    }
    const heading = make("h3", "", title)
    heading.title = data.told
    section.append(heading, list)
    lists.append(section)
  }
  root.append(lists)
}
