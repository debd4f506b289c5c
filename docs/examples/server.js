'use strict'

// The web server of the examples: it serves a page and talks with each open page over a WebSocket, in JSON messages
// {"type": …, …}. Your own application brings its own.
//
//   HOST, PORT  where it listens; 127.0.0.1:8080 if they aren't set

const { createServer } = require('http')
const { readFile } = require('fs/promises')
const path = require('path')
const { WebSocketServer } = require('ws')
const { describe } = require('./connect')

const host = process.env.HOST || '127.0.0.1'
const port = Number(process.env.PORT || 8080)

// A Page is one open page. on(type, handler) takes its messages; they are handled one after another, so that a handler
// which awaits finds everything done that earlier ones began.
class Page {
  #socket
  #handlers = new Map()
  #last = Promise.resolve()
  endpoints = new Map() // its WebRtcEndpoints, by the names of its connections

  constructor(socket) {
    this.#socket = socket
    socket.on('error', () => socket.terminate()) // 'close' follows
    socket.on('message', data => this.#handle(data))
    socket.on('close', () => this.#enqueue({ type: 'close' }))
  }

  on(type, handler) { this.#handlers.set(type, handler) }

  send(type, fields = {}) {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify({ type, ...fields }))
  }

  // fail tells the page, and whoever reads the log, what went wrong.
  fail(error) {
    console.error(describe(error))
    this.send('error', { text: describe(error) })
  }

  #handle(data) {
    let message
    try {
      message = JSON.parse(data)
    } catch {
      return this.fail(new Error('a message of the page is not JSON'))
    }
    this.#enqueue(message)
  }

  #enqueue(message) {
    this.#last = this.#last.then(() => {
      const handler = this.#handlers.get(message.type)
      if (!handler && message.type !== 'close') throw new Error(`a message of the page is of the unknown type ${JSON.stringify(message.type)}`)
      return handler?.(message)
    }).catch(error => this.fail(error))
  }
}

// serve serves one of the pages in page/, and calls onPage with each Page that is opened.
function serve(file, onPage) {
  const files = { '/': ['text/html', file], '/media.js': ['text/javascript', 'media.js'] }
  const server = createServer(async (request, response) => {
    const [type, name] = files[request.url.split('?')[0]] || []
    if (!name) return response.writeHead(404).end()
    try {
      const body = await readFile(path.join(__dirname, 'page', name))
      response.writeHead(200, { 'Content-Type': type + '; charset=utf-8' }).end(body)
    } catch (error) {
      console.error(describe(error))
      response.writeHead(500).end()
    }
  })
  new WebSocketServer({ server, path: '/signal', maxPayload: 1 << 20 }).on('connection', socket => onPage(new Page(socket)))
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(port, host, () => {
      console.log(`open http://${host}:${port}/ in a browser`)
      resolve()
    })
  })
}

module.exports = { serve }
