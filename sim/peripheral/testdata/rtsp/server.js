// An RTSP server that nobody here wrote, on loopback. It prints the address of
// the side where players ask.
const RtspServer = require('rtsp-streaming-server').default;

const loopback = { port: 0, host: '127.0.0.1' };
const server = new RtspServer({ serverPort: loopback, clientPort: loopback, rtpPortStart: 10000, rtpPortCount: 2 });
server.start().then(
	() => console.log('127.0.0.1:' + server.ClientServer.server.address().port),
	(e) => { console.error(e); process.exit(1); },
);
process.stdin.on('end', () => process.exit(0)).resume(); // whoever started it is gone
