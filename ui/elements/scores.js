// A label's scores: for each scorer a scale from 0 to 1 with the part up to chance shaded,
// the 95 % interval as a band and the value as a point. The same in words for screen readers.

const place = (value) => `${Math.min(Math.max(value, 0), 1) * 100}%`

function scale(score) {
  const track = make("div", "track")
  track.setAttribute("role", "img")
  track.setAttribute("aria-label", score.line)
  if (score.floor !== null) {
    const chance = make("span", "chance")
    chance.style.width = place(score.floor)
    track.append(chance)
  }
  if (score.low !== null && score.high !== null) {
    const band = make("span", "band")
    band.style.left = place(score.low)
    band.style.width = `${Math.max(Math.min(score.high, 1) - Math.max(score.low, 0), 0.01) * 100}%`
    track.append(band)
  }
  if (score.shuffled !== null) {
    const other = make("span", "shuffled")
    other.style.left = place(score.shuffled)
    track.append(other)
  }
  if (score.value !== null) {
    const point = make("span", "point")
    point.style.left = place(score.value)
    track.append(point)
  }
  return track
}

function head(score) {
  const line = make("span", "head")
  line.append(make("span", "name", score.name))
  line.append(make("b", "", score.value === null ? "–" : score.value.toFixed(2)))
  if (score.interval) line.append(make("span", "interval", `(${score.interval})`))
  if (score.chance) line.append(make("span", "verdict", "not above chance"))
  return line
}

function full(score, open) {
  const box = make("details", score.chance ? "score weak" : "score")
  box.dataset.name = score.name
  box.open = open
  const summary = make("summary")
  summary.append(head(score))
  if (score.value !== null) summary.append(scale(score))
  if (score.baseline) summary.append(make("span", "baseline", score.baseline))
  box.append(summary)
  const list = make("dl")
  for (const [name, value] of score.facts) {
    const definition = make("dd")
    putText(definition, value, true)
    list.append(make("dt", "", name), definition)
  }
  box.append(list)
  return box
}

/** What the signs of the drawing mean, each as it is drawn. */
function legend(told) {
  const box = make("div", "legend")
  for (const [kind, name, about] of told) {
    const item = make("span", "key")
    item.title = about
    const picture = make("span", `picture ${kind}`)
    picture.setAttribute("aria-hidden", "true")
    item.append(picture, name)
    box.append(item)
  }
  return box
}

function small(score, data) {
  const box = make("div", score.chance ? "score weak" : "score")
  box.title = [score.line, "", data.about].join("\n")
  box.append(head(score), scale(score))
  return box
}

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.classList.toggle("compact", data.compact)
  root.classList.toggle("several", data.scores.length > 1)
  const open = new Set([...root.querySelectorAll("details[open]")].map((box) => box.dataset.name))
  root.replaceChildren()
  for (const score of data.scores) {
    root.append(data.compact ? small(score, data) : full(score, open.has(score.name)))
  }
  if (data.legend.length && data.scores.some((score) => score.value !== null)) {
    root.append(legend(data.legend))
  }
  if (data.why) {
    const why = make("div", "why")
    putText(why, data.why, true)
    if (data.compact) why.title = data.about
    root.append(why)
  }
}
