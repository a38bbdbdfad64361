// node.js HOST PORT NAME ROOT_PEM [CERTIFICATE_PEM KEY_PEM]: mqtt.js, as in Zigbee2MQTT and Node-RED; a message of its own comes back to it.
const [host, port, servername, root, certificate, key] = process.argv.slice(2);
const read = (file) => file && require('fs').readFileSync(file);
const client = require('mqtt').connect({
  protocol: 'mqtts', host, port, servername, ca: read(root), cert: read(certificate), key: read(key), reconnectPeriod: 0});
client.on('error', (error) => { console.log(`${error.code} ${error.message}`); process.exit(1); });
client.on('close', () => { console.log('the broker hung up'); process.exit(1); });
client.on('connect', () => client.subscribe('node', () => client.publish('node', 'hello')));
client.on('message', () => { console.log('OK'); process.exit(0); });
setTimeout(() => { console.log('nothing came within 10 s'); process.exit(1); }, 10000);
