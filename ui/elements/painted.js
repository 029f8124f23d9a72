// A text whose tokens are coloured by features: pinned ones, each in its colour, or the strongest
// of every token. A token's features stand below it when it is clicked; each is a link.

const shown = new WeakMap()

function paint(span, word, token, data) {
  if (!token.fires.length) return
  span.classList.add("on")
  const [slot, strength] = token.fires[0]
  word.style.setProperty("--c", `var(--pin${slot})`)
  word.style.setProperty("--s", strength.toFixed(3))
  if (token.fires.length < 2) return
  // The others that fire here: a bar each below the word, as high as they are strong.
  const bars = make("span", "bars")
  bars.setAttribute("aria-hidden", "true")
  for (const [other, height] of token.fires.slice(1)) {
    const bar = make("i")
    bar.style.background = `var(--pin${other})`
    bar.style.opacity = (0.35 + 0.65 * height).toFixed(2)
    bars.append(bar)
  }
  word.append(bars)
}

function tokenOf(token, index, data) {
  const span = make("span", "t")
  span.dataset.i = index
  span.tabIndex = index === 0 ? 0 : -1
  span.setAttribute("role", "button")
  const word = make("span", "w")
  const lead = token.text.length > 1 && token.text[0] === " " && token.text.trim() !== "" ? " " : ""
  if (token.masked) span.classList.add("masked")
  if (token.name) {
    span.classList.add("special")
    word.dataset.name = token.name
  } else if (token.text === "") span.classList.add("part")
  if (token.dim) span.classList.add("dim")
  putText(word, token.text.slice(lead.length), token.fires.length === 0)
  paint(span, word, token, data)
  span.append(lead, word)
  return span
}

function chip([feature, value], data) {
  const found = { feature, value, ...data.features[feature] }
  const row = make("div", "feature")
  const link = make("a")
  link.href = found.href
  link.dataset.feature = found.feature
  const label = make("span", found.label ? "label" : "label none")
  label.dir = "auto"
  putText(label, found.label || "no label yet", true)
  link.append(make("span", "number", String(found.feature)), label)
  row.append(link, make("span", "value", short(found.value)))
  if (data.pinnable) {
    const pin = make("button", "pin", found.pinned ? "pinned" : "pin")
    pin.type = "button"
    pin.disabled = found.pinned
    pin.dataset.pin = found.feature
    pin.setAttribute("aria-label", `Pin feature ${found.feature}`)
    row.append(pin)
  }
  return row
}

function legend(root, data) {
  if (!data.legend.length) return
  const box = make("div", "legend")
  for (const pin of data.legend) {
    const item = make("span", "key")
    const colour = make("i")
    colour.style.background = `var(--pin${pin.slot})`
    const name = make("span", "label")
    putText(name, pin.label, true)
    const link = make("a", "number", String(pin.feature))
    link.href = pin.href
    link.dataset.feature = pin.feature
    item.append(colour, link, name)
    if (data.pinnable) {
      const off = make("button", "unpin", "×")
      off.type = "button"
      off.dataset.unpin = pin.feature
      off.setAttribute("aria-label", `Unpin feature ${pin.feature}`)
      item.append(off)
    }
    box.append(item)
  }
  root.append(box)
}

function build(root, data) {
  root.replaceChildren()
  legend(root, data)
  data.texts.forEach((text, number) => {
    const section = make("section", data.list ? "listed" : "")
    if (text.title) section.append(make("h3", "", text.title))
    const box = make("div", "text")
    box.dir = "auto"
    box.dataset.text = number
    text.tokens.forEach((token, index) => {
      if (token.opens && index) box.append(make("span", "cut", "new piece"))
      if (!data.list) {
        box.append(tokenOf(token, index, data))
        return
      }
      const row = make("div", "line")
      row.append(tokenOf(token, index, data))
      const side = make("div", "side")
      for (const found of token.top.slice(0, 3)) side.append(chip(found, data))
      if (!token.top.length) side.append(make("span", "none", token.masked ? "does not count" : "nothing fires"))
      row.append(side)
      box.append(row)
    })
    section.append(box)
    root.append(section)
  })
  root.append(make("div", "detail"))
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  const key = JSON.stringify(data)
  const before = shown.get(root)
  if (before?.key === key) return
  before?.listening.abort()
  const listening = new AbortController()
  shown.set(root, { key, listening, picked: before?.picked })
  const on = (name, handler) => root.addEventListener(name, handler, { signal: listening.signal })
  build(root, data)
  const detail = root.querySelector(".detail")

  const pick = (number, index) => {
    for (const old of root.querySelectorAll(".t.picked")) old.classList.remove("picked")
    const token = data.texts[number]?.tokens[index]
    const span = root.querySelector(`[data-text="${number}"] .t[data-i="${index}"]`)
    detail.replaceChildren()
    if (!token || !span) return
    shown.get(root).picked = [number, index]
    span.classList.add("picked")
    const head = make("div", "head")
    const written = make("b")
    putText(written, token.name || token.text || "(rest of the character before)")
    head.append(written, make("span", "note", `token ${token.id} · position ${index}${token.why ? ` · ${token.why}` : ""}`))
    detail.append(head)
    for (const found of token.top) detail.append(chip(found, data))
    if (!token.top.length && data.detail) detail.append(make("div", "none", "No feature fires here."))
  }
  if (data.detail && !data.list && before?.picked) pick(...before.picked)

  on("click", (event) => {
    const button = event.target.closest?.("button")
    if (button?.dataset.pin) return setTriggerValue("pin", Number(button.dataset.pin))
    if (button?.dataset.unpin) return setTriggerValue("unpin", Number(button.dataset.unpin))
    const link = event.target.closest?.("a")
    if (link) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      setTriggerValue("open", Number(link.dataset.feature))
      return
    }
    const span = event.target.closest?.(".t")
    if (span && data.detail && !data.list) pick(Number(span.closest(".text").dataset.text), Number(span.dataset.i))
  })
  on("keydown", (event) => {
    const span = event.target.closest?.(".t")
    if (!span || event.ctrlKey || event.metaKey || event.altKey) return
    const all = [...span.closest(".text").querySelectorAll(".t")]
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const to = step ? all[all.indexOf(span) + step] : event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : null
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      span.click()
    }
    if (!to) return
    event.preventDefault()
    event.stopPropagation()
    to.focus()
  })
}
