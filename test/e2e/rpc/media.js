'use strict'

// Takes calls, plays each a file, and records what the caller says, to WebM and to WAV; says how long it recorded.

const kurento = require('kurento-client')
kurento.register(require(process.env.PATCHBAY_MODULE))

kurento(process.env.PATCHBAY_URL).then(async client => {
  const manager = await client.getMediaobjectById('manager_TelephonyManager')
  const pipeline = await client.create('MediaPipeline')
  manager.on('IncomingCall', async call => {
    const caller = await pipeline.create('SipEndpoint', { callId: call.callId })
    const player = await pipeline.create('PlayerEndpoint', { uri: process.env.GREETING })
    const webm = await pipeline.create('RecorderEndpoint', { uri: 'file:///calls/x.webm', mediaProfile: 'WEBM_AUDIO_ONLY' })
    const wav = await pipeline.create('RecorderEndpoint', { uri: 'calls/x.wav' })
    for (const [name, element] of [['player', player], ['webm', webm], ['wav', wav]]) {
      element.on('Error', e => console.log(`${name} Error ${e.type} ${e.description}`))
    }
    webm.on('Recording', () => console.log('webm Recording'))
    webm.on('Stopped', () => console.log('webm Stopped'))
    await player.connect(caller)
    await caller.connect(webm)
    await caller.connect(wav)
    await caller.accept()
    await webm.record()
    await wav.record()
    const begin = Date.now()
    const timer = setTimeout(() => console.log('no EndOfStream'), 30000)
    player.on('EndOfStream', async () => {
      clearTimeout(timer)
      const length = Date.now() - begin
      await Promise.all([webm.stopAndWait(), wav.stopAndWait()])
      console.log(`recorded ${length} ms, state ${await webm.getState()}`)
      const info = await player.getVideoInfo()
      console.log(`info ${info.isSeekable}`)
    })
    await player.play()
  })
  const listener = await manager.listen('ivr')
  console.log(`ready as ${await listener.getApp()}`)
}).catch(error => {
  console.error(error)
  process.exit(1)
})
