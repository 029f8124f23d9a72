// Terms and their sentences, with a box to find one.

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  if (root.firstChild) return
  const box = make("input")
  box.type = "search"
  box.placeholder = "Find a word"
  box.setAttribute("aria-label", "Find a word in the glossary")
  const list = make("dl")
  for (const [term, sentence] of data.terms) {
    const pair = make("div")
    pair.append(make("dt", "", term), make("dd", "", sentence))
    list.append(pair)
  }
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase()
    for (const pair of list.children) pair.hidden = !pair.textContent.toLowerCase().includes(wanted)
  })
  root.append(box, list)
}
