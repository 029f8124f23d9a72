// Short lists of features, each a link.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.replaceChildren()
  for (const group of data.groups) {
    const section = make("section")
    const heading = make("h3", "", group.title)
    heading.append(make("span", "note", group.note))
    section.append(heading)
    for (const row of group.rows) {
      const link = make("a")
      if (row.href) link.href = row.href
      link.dataset.feature = row.feature
      const label = make("span", "label")
      label.dir = "auto"
      putText(label, row.label)
      link.append(make("span", "number", String(row.feature)), label)
      link.append(make("span", "status", row.status), make("span", "value", row.value))
      section.append(link)
    }
    if (!group.rows.length) section.append(make("div", "none", group.empty))
    root.append(section)
  }
  root.onclick = (event) => {
    const link = event.target.closest("a")
    if (!link?.href || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    setTriggerValue("open", Number(link.dataset.feature))
  }
}
