// Families as a tree: groups that open, the families in them, and a box to find one by its words.

function node(one, group, family) {
  const button = make("button", "node")
  button.type = "button"
  button.dataset.group = group
  if (family !== null) button.dataset.family = family
  button.setAttribute("aria-pressed", String(one.chosen))
  const label = make("span", "label")
  label.dir = "auto"
  putText(label, one.label)
  button.append(label, make("span", "count", String(one.count)))
  return button
}

function branch(group, at) {
  const item = make("li")
  if (group.families.length < 2) {
    item.append(node(group, at, null))
    return item
  }
  const box = make("details")
  box.open = group.chosen || group.families.some((one) => one.chosen)
  const head = make("summary")
  head.append(node(group, at, null))
  const list = make("ul")
  for (const [within, one] of group.families.entries()) {
    const leaf = make("li")
    leaf.append(node(one, at, within))
    list.append(leaf)
  }
  box.append(head, list)
  item.append(box)
  return item
}

/** Shows what holds all words; a family that does opens its group. */
function find(root, words) {
  const holds = (text) => words.every((word) => text.toLowerCase().includes(word))
  let left = 0
  for (const item of root.querySelectorAll(".tree > li")) {
    const whole = holds(item.querySelector(".label").textContent)
    let inside = false
    for (const leaf of item.querySelectorAll("ul > li")) {
      const fits = holds(leaf.textContent)
      leaf.hidden = !fits && !whole
      inside ||= fits
    }
    item.hidden = !whole && !inside
    left += item.hidden ? 0 : 1
    const box = item.querySelector("details")
    if (box && words.length) box.open = inside
  }
  root.querySelector(".none").hidden = left > 0
}

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  const shape = JSON.stringify([data.study, data.groups.map((g) => [g.label, g.families.map((f) => f.label)])])
  if (root.dataset.shape !== shape) {
    root.dataset.shape = shape
    const box = make("input")
    box.type = "search"
    box.placeholder = "Find a family"
    box.setAttribute("aria-label", "Find a family")
    box.oninput = () => find(root, box.value.toLowerCase().split(/\s+/).filter(Boolean))
    const every = make("button", "every", "All features")
    every.type = "button"
    const tree = make("ul", "tree")
    tree.append(...data.groups.map(branch))
    const none = make("p", "none", "No family has these words.")
    none.hidden = true
    root.replaceChildren(make("p", "head", data.head), box, every, tree, none)
  }
  root.querySelector(".every").hidden = !data.anything
  for (const button of root.querySelectorAll(".node")) {
    const group = data.groups[Number(button.dataset.group)]
    const one = button.dataset.family === undefined ? group : group.families[Number(button.dataset.family)]
    button.setAttribute("aria-pressed", String(one.chosen))
  }
  root.onclick = (event) => {
    const button = event.target.closest("button")
    if (!button) return
    event.preventDefault() // the name chooses, the triangle opens
    const number = (text) => (text === undefined ? null : Number(text))
    // The time tells a second press on the same name from none.
    const picked = { group: number(button.dataset.group), family: number(button.dataset.family), at: Date.now() }
    const box = button.closest("summary")?.parentElement
    if (box) box.open = true
    setStateValue("picked", picked)
  }
}
