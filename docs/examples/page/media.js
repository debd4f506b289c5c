// The pages' side of the signalling, and of WebRTC.

const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/signal`)
const handlers = {}
const connections = {} // by name: one page may have several

export function send(type, fields = {}) { socket.send(JSON.stringify({ type, ...fields })) }
export function on(type, handler) { handlers[type] = handler }

export function state(text) {
  document.getElementById('state').textContent = text
}

// join opens a connection to the WebRtcEndpoint that the application has for this name, and plays what comes from there.
// With a microphone it sends too. first is the message that takes the offer along.
export async function join(name, first, { microphone = true, ...fields } = {}) {
  const connection = new RTCPeerConnection()
  connections[name] = connection
  if (microphone) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } })
    for (const track of stream.getTracks()) connection.addTrack(track, stream)
  } else {
    connection.addTransceiver('audio', { direction: 'recvonly' })
  }
  const player = new Audio()
  player.autoplay = true
  player.dataset.name = name
  document.body.append(player)
  connection.ontrack = event => { player.srcObject = event.streams[0] || new MediaStream([event.track]) }
  connection.onconnectionstatechange = () => { player.dataset.state = connection.connectionState }
  // Candidates go as they are found (trickle): the application hands them to addIceCandidate.
  const early = []
  let offered = false
  connection.onicecandidate = ({ candidate }) => {
    if (!candidate) return
    const message = { name, candidate: candidate.toJSON() }
    offered ? send('candidate', message) : early.push(message)
  }
  await connection.setLocalDescription(await connection.createOffer())
  send(first, { name, sdp: connection.localDescription.sdp, ...fields })
  offered = true
  for (const message of early) send('candidate', message)
}

// leave closes all connections and releases the microphone.
export function leave() {
  for (const [name, connection] of Object.entries(connections)) {
    for (const sender of connection.getSenders()) sender.track?.stop()
    connection.close()
    delete connections[name]
  }
  for (const player of document.querySelectorAll('audio')) player.remove()
}

on('answer', ({ name, sdp }) => connections[name]?.setRemoteDescription({ type: 'answer', sdp }))
on('candidate', ({ name, candidate }) => connections[name]?.addIceCandidate(candidate))
on('state', ({ text }) => state(text))
on('error', ({ text }) => { state(`Error: ${text}`); leave() })

socket.onopen = () => state('ready')
socket.onclose = () => { state('the application has gone'); leave() }
socket.onmessage = async ({ data }) => {
  const message = JSON.parse(data)
  try {
    await handlers[message.type]?.(message)
  } catch (error) {
    state(`Error: ${error.message}`)
  }
}
