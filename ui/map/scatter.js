// The map of features: every point drawn into one buffer of pixels, so that a hundred thousand
// move as one. Needs no WebGL. What is drawn around with the mouse goes to the server as a
// polygon, never as a list of points; both sides work out with whole numbers what lies in it.

const SPAN = 65535 // coordinates are whole numbers from 0 to this
const CELLS = 128 // squares across, for finding the point under the mouse
const NEAR = 9 // pixels within which a point is meant
const MOST_CORNERS = 64
const TOOLS = [
  ["lasso", "Lasso", "Draw around features to select them"],
  ["box", "Box", "Draw a rectangle to select what is in it"],
  ["move", "Move", "Drag to move the map, turn the wheel to zoom"],
]
const states = new WeakMap()

function bytes(text) {
  const raw = atob(text)
  const found = new Uint8Array(raw.length)
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i)
  return found
}

async function unpacked(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"))
  return (await new Response(stream).text()).split("\n")
}

/** Points by square of the map: `order` holds them square after square, from `first[square]`. */
function squares(x, y) {
  const first = new Uint32Array(CELLS * CELLS + 1)
  const square = (i) => ((y[i] * CELLS) >> 16) * CELLS + ((x[i] * CELLS) >> 16)
  for (let i = 0; i < x.length; i++) first[square(i) + 1]++
  for (let s = 0; s < CELLS * CELLS; s++) first[s + 1] += first[s]
  const next = first.slice()
  const order = new Uint32Array(x.length)
  for (let i = 0; i < x.length; i++) order[next[square(i)]++] = i
  return { first, order }
}

/** Which points lie in a polygon (corners as x, y, x, y …), by the even-odd rule. */
function inside(x, y, corners) {
  const mask = new Uint8Array(x.length)
  let count = 0
  let [low, high] = [SPAN, 0]
  for (let c = 1; c < corners.length; c += 2) {
    low = Math.min(low, corners[c])
    high = Math.max(high, corners[c])
  }
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [x[i], y[i]]
    if (py < low || py > high) continue
    let odd = 0
    for (let a = 0, b = corners.length - 2; a < corners.length; b = a, a += 2) {
      const [ax, ay, bx, by] = [corners[a], corners[a + 1], corners[b], corners[b + 1]]
      if (ay > py === by > py) continue
      // px < ax + (bx - ax) * (py - ay) / (by - ay), without a division
      const left = (px - ax) * (by - ay)
      const right = (bx - ax) * (py - ay)
      if (by > ay ? left < right : left > right) odd ^= 1
    }
    mask[i] = odd
    count += odd
  }
  return { mask, count }
}

/** A drawn line with no more corners than needed: those nearest to their neighbours' line go. */
function simpler(corners) {
  const points = []
  for (let c = 0; c < corners.length; c += 2) {
    const [x, y] = [corners[c], corners[c + 1]]
    const last = points.at(-1)
    if (!last || last[0] !== x || last[1] !== y) points.push([x, y])
  }
  while (points.length > MOST_CORNERS) {
    let [best, least] = [1, Infinity]
    for (let p = 1; p < points.length - 1; p++) {
      const [a, b, c] = [points[p - 1], points[p], points[p + 1]]
      const area = Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))
      if (area < least) [best, least] = [p, area]
    }
    points.splice(best, 1)
  }
  return points.flat()
}

class Scatter {
  constructor(root) {
    this.root = root
    this.tool = "lasso"
    this.version = 0
    this.labels = null
    this.corners = null
    this.mask = null
    this.centre = [SPAN / 2, SPAN / 2]
    this.across = SPAN * 1.06 // map units that the shorter side shows
    this.build()
  }

  build() {
    const bar = make("div", "bar")
    this.tools = make("div", "tools")
    this.tools.setAttribute("role", "radiogroup")
    this.tools.setAttribute("aria-label", "What the mouse does")
    for (const [name, title, help] of TOOLS) {
      const button = make("button", "tool", title)
      button.type = "button"
      button.title = help
      button.dataset.tool = name
      button.setAttribute("role", "radio")
      button.onclick = () => this.use(name)
      this.tools.append(button)
    }
    const act = (title, help, does) => {
      const button = make("button", "act", title)
      button.type = "button"
      button.title = help
      button.setAttribute("aria-label", help)
      button.onclick = does
      return button
    }
    this.clear = act("Clear selection", "Select nothing", () => this.select(null))
    bar.append(
      this.tools,
      act("+", "Zoom in", () => this.zoom(0.6)),
      act("−", "Zoom out", () => this.zoom(1 / 0.6)),
      act("Whole map", "Show the whole map", () => this.whole()),
      this.clear,
    )
    this.frame = make("div", "frame")
    this.canvas = make("canvas")
    this.canvas.tabIndex = 0
    this.canvas.setAttribute("role", "application")
    this.over = make("canvas", "over")
    this.tip = make("div", "tip")
    this.tip.hidden = true
    this.frame.append(this.canvas, this.over, this.tip)
    this.legend = make("div", "legend")
    this.root.replaceChildren(bar, this.frame, this.legend)
    this.listen()
    this.use("lasso")
    new ResizeObserver(() => this.draw()).observe(this.frame)
  }

  use(tool) {
    this.tool = tool
    for (const button of this.tools.children)
      button.setAttribute("aria-checked", String(button.dataset.tool === tool))
    this.frame.dataset.tool = tool
  }

  take(component) {
    const { data, parentElement } = component
    this.send = component
    this.dark = isDark(parentElement.host ?? parentElement)
    this.root.classList.toggle("dark", this.dark)
    this.canvas.setAttribute("aria-label", data.title)
    this.frame.style.height = `${data.height}px`
    if (this.key !== data.key) {
      this.key = data.key
      const raw = bytes(data.places)
      const both = new Uint16Array(raw.buffer)
      this.x = both.subarray(0, data.n)
      this.y = both.subarray(data.n)
      this.features = data.features ? new Uint32Array(bytes(data.features).buffer) : null
      this.grid = squares(this.x, this.y)
      this.corners = this.mask = null
      this.version = 0
    }
    if (this.labelled !== data.labels) {
      this.labelled = data.labels
      this.labels = null
      unpacked(data.labels).then((labels) => { if (this.labelled === data.labels) this.labels = labels })
    }
    if (this.coloured !== data.colours) {
      this.coloured = data.colours
      this.colour = bytes(data.colours)
    }
    this.data = data
    if (data.version >= this.version) {
      this.version = data.version
      this.lie(data.shape)
      if (data.window) this.look(data.window)
    }
    this.explain()
    this.draw()
  }

  /** A selection is on the map: what lies in it. */
  lie(corners) {
    if (String(corners) === String(this.corners)) return
    this.corners = corners
    this.mask = corners ? inside(this.x, this.y, corners).mask : null
  }

  select(corners) {
    this.lie(corners)
    this.draw()
    this.tell()
  }

  tell() {
    this.version += 1
    this.send.setStateValue("seen", {
      key: this.key,
      shape: this.corners,
      window: this.isWhole ? null : [...this.centre, this.across].map(Math.round),
      version: this.version,
    })
  }

  look([x, y, across]) {
    this.centre = [x, y]
    this.across = across
    this.isWhole = false
  }

  whole() {
    this.centre = [SPAN / 2, SPAN / 2]
    this.across = SPAN * 1.06
    this.isWhole = true
    this.draw()
    this.tell()
  }

  zoom(by, at = null) {
    const [x, y] = at ?? this.centre
    const across = Math.min(Math.max(this.across * by, SPAN / 400), SPAN * 1.3)
    const really = across / this.across
    this.centre = [x + (this.centre[0] - x) * really, y + (this.centre[1] - y) * really]
    this.across = across
    this.isWhole = false
    this.draw()
    this.later()
  }

  /** Tell the server where we look once the moving has ended. */
  later() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.tell(), 500)
  }

  get scale() {
    return Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / this.across
  }

  toMap(px, py) {
    const s = this.scale
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight]
    return [this.centre[0] + (px - w / 2) / s, this.centre[1] - (py - h / 2) / s]
  }

  toScreen(x, y) {
    const s = this.scale
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight]
    return [(x - this.centre[0]) * s + w / 2, (this.centre[1] - y) * s + h / 2]
  }

  draw() {
    if (this.due || !this.data) return
    this.due = requestAnimationFrame(() => {
      this.due = 0
      this.paint()
      this.paintOver()
    })
  }

  paint() {
    const ratio = Math.min(devicePixelRatio || 1, 2)
    const [w, h] = [Math.round(this.frame.clientWidth * ratio), Math.round(this.frame.clientHeight * ratio)]
    if (!w || !h) return
    if (this.canvas.width !== w || this.canvas.height !== h) {
      for (const one of [this.canvas, this.over]) [one.width, one.height] = [w, h]
      this.image = null
    }
    const context = this.canvas.getContext("2d")
    this.image ??= context.createImageData(w, h)
    const pixels = new Uint32Array(this.image.data.buffer)
    pixels.fill(0)
    const s = this.scale * ratio
    const [cx, cy] = this.centre
    const { x, y, colour, mask } = this
    const palette = (this.dark ? this.data.dark : this.data.light).map(
      ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r,
    )
    const faint = (this.dark ? this.data.dark : this.data.light).map(
      ([r, g, b]) => (70 << 24) | (b << 16) | (g << 8) | r,
    )
    // Few points, or few in sight, are drawn larger.
    const shown = x.length * Math.min((this.across / SPAN) ** 2, 1)
    const radius = Math.min(Math.max(Math.sqrt((w * h) / Math.max(shown, 1)) * 0.16, 1), 4.5 * ratio)
    const reach = Math.floor(radius)
    const stamp = []
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++)
        if (dx * dx + dy * dy <= radius * radius * 0.85) stamp.push(dy * w + dx)
    const put = (wanted, colours) => {
      for (let i = 0; i < x.length; i++) {
        if (mask && mask[i] !== wanted) continue
        const px = Math.round((x[i] - cx) * s + w / 2)
        const py = Math.round((cy - y[i]) * s + h / 2)
        if (px < reach || py < reach || px >= w - reach || py >= h - reach) continue
        const at = py * w + px
        const value = colours[colour[i]]
        for (let k = 0; k < stamp.length; k++) pixels[at + stamp[k]] = value
      }
    }
    if (mask) put(0, faint)
    put(1, palette)
    context.putImageData(this.image, 0, 0)
  }

  /** What lies over the points: the shape selected or being drawn, and what was looked for. */
  paintOver() {
    const ratio = this.over.width / Math.max(this.over.clientWidth, 1)
    const context = this.over.getContext("2d")
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, this.over.clientWidth, this.over.clientHeight)
    const style = getComputedStyle(this.root)
    const accent = style.getPropertyValue("--st-primary-color") || "#06c"
    const line = (corners, closed) => {
      context.beginPath()
      for (let c = 0; c < corners.length; c += 2) context.lineTo(...this.toScreen(corners[c], corners[c + 1]))
      if (closed) context.closePath()
      context.lineWidth = 1.5
      context.strokeStyle = accent
      context.setLineDash(closed ? [] : [5, 4])
      context.stroke()
      context.setLineDash([])
    }
    if (this.corners) line(this.corners, true)
    if (this.drawn) line(this.drawn, false)
    const ring = (i, size) => {
      context.beginPath()
      context.arc(...this.toScreen(this.x[i], this.y[i]), size, 0, 2 * Math.PI)
      context.lineWidth = 2
      context.strokeStyle = style.color
      context.stroke()
    }
    for (const i of this.data.found) ring(i, this.data.found.length > 1 ? 5 : 9)
    if (this.hovered !== undefined) ring(this.hovered, 6)
  }

  nearest(px, py) {
    const [mx, my] = this.toMap(px, py)
    const reach = NEAR / this.scale
    const cell = (value) => Math.min(Math.max(Math.floor((value * CELLS) / (SPAN + 1)), 0), CELLS - 1)
    let [best, least] = [undefined, reach * reach]
    for (let row = cell(my - reach); row <= cell(my + reach); row++)
      for (let column = cell(mx - reach); column <= cell(mx + reach); column++) {
        const square = row * CELLS + column
        for (let k = this.grid.first[square]; k < this.grid.first[square + 1]; k++) {
          const i = this.grid.order[k]
          const d = (this.x[i] - mx) ** 2 + (this.y[i] - my) ** 2
          if (d < least) [best, least] = [i, d]
        }
      }
    return best
  }

  feature(i) {
    return this.features ? this.features[i] : i
  }

  hover(i, px, py) {
    if (this.hovered !== i) {
      this.hovered = i
      this.paintOver()
    }
    this.tip.hidden = i === undefined
    if (i === undefined) return
    const label = make("span", "label")
    label.dir = "auto"
    putText(label, this.labels?.[i] || "no label", true)
    const kind = this.data.names[this.colour[i]]
    this.tip.replaceChildren(make("b", "", String(this.feature(i))), label)
    if (kind) this.tip.append(make("span", "kind", `${this.data.by}: ${kind}`))
    const right = px > this.frame.clientWidth * 0.6
    this.tip.style.left = right ? "" : `${px + 14}px`
    this.tip.style.right = right ? `${this.frame.clientWidth - px + 14}px` : ""
    this.tip.style.top = `${Math.min(py + 10, this.frame.clientHeight - 60)}px`
  }

  listen() {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect()
      return [event.clientX - box.left, event.clientY - box.top]
    }
    let from = null
    this.canvas.onpointerdown = (event) => {
      if (event.button !== 0) return
      this.canvas.setPointerCapture(event.pointerId)
      from = { start: at(event), last: at(event), moved: false }
    }
    this.canvas.onpointermove = (event) => {
      const [px, py] = at(event)
      if (!from) return this.hover(this.nearest(px, py), px, py)
      from.moved ||= Math.hypot(px - from.start[0], py - from.start[1]) > 4
      if (!from.moved) return
      this.hover(undefined)
      if (this.tool === "move") {
        this.centre = [
          this.centre[0] - (px - from.last[0]) / this.scale,
          this.centre[1] + (py - from.last[1]) / this.scale,
        ]
        this.isWhole = false
        this.draw()
      } else {
        const here = this.inMap(px, py)
        if (this.tool === "box") {
          const [x, y] = this.inMap(...from.start)
          this.drawn = [x, y, here[0], y, here[0], here[1], x, here[1]]
        } else (this.drawn ??= this.inMap(...from.start)).push(...here)
        this.paintOver()
      }
      from.last = [px, py]
    }
    const end = (event) => {
      if (!from) return
      const { moved } = from
      from = null
      const drawn = this.drawn
      this.drawn = null
      if (!moved) {
        const i = this.nearest(...at(event))
        if (i !== undefined && event.type === "pointerup") this.send.setTriggerValue("open", this.feature(i))
        else if (this.corners && this.tool !== "move") this.select(null)
      } else if (this.tool === "move") this.later()
      else if (drawn && drawn.length >= 6) this.select(simpler(drawn))
    }
    this.canvas.onpointerup = end
    this.canvas.onpointercancel = end
    this.canvas.onpointerleave = () => from || this.hover(undefined)
    this.canvas.addEventListener("wheel", (event) => {
      // The page scrolls as everywhere, unless the map is being moved.
      if (this.tool !== "move" && !event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      this.zoom(Math.exp(Math.sign(event.deltaY) * 0.18), this.toMap(...at(event)))
    }, { passive: false })
    this.canvas.onkeydown = (event) => {
      const step = this.across / 8
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }
      if (moves[event.key]) {
        this.centre = this.centre.map((value, side) => value + moves[event.key][side])
        this.isWhole = false
        this.draw()
        this.later()
      } else if (event.key === "+" || event.key === "=") this.zoom(0.6)
      else if (event.key === "-") this.zoom(1 / 0.6)
      else if (event.key === "0") this.whole()
      else if (event.key === "Escape" && this.corners) this.select(null)
      else return
      event.preventDefault()
    }
  }

  /** A place on the screen as whole map coordinates. */
  inMap(px, py) {
    return this.toMap(px, py).map((value) => Math.min(Math.max(Math.round(value), 0), SPAN))
  }

  explain() {
    this.clear.disabled = !this.corners
    const colours = this.dark ? this.data.dark : this.data.light
    const parts = this.data.legend.map(({ text, index, last }) => {
      const entry = make("span", "entry")
      const swatch = make("span", last === undefined ? "swatch" : "ramp")
      const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`
      swatch.style.background =
        last === undefined
          ? css(colours[index])
          : `linear-gradient(to right, ${colours.slice(index, last + 1).map(css).join(", ")})`
      const name = make("span")
      putText(name, text, true)
      entry.append(swatch, name)
      return entry
    })
    this.legend.replaceChildren(make("span", "by", this.data.by), ...parts)
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".root")
  if (!states.has(root)) states.set(root, new Scatter(root))
  states.get(root).take(component)
}
