// node.js HOST PORT NAME ROOT_PEM: mqtt.js, as in Zigbee2MQTT and Node-RED; a message of its own comes back to it.
const [host, port, servername, root] = process.argv.slice(2);
const client = require('mqtt').connect({
  protocol: 'mqtts', host, port, servername, ca: require('fs').readFileSync(root), reconnectPeriod: 0});
client.on('error', (error) => { console.log(`${error.code} ${error.message}`); process.exit(1); });
client.on('connect', () => client.subscribe('node', () => client.publish('node', 'hello')));
client.on('message', () => { console.log('OK'); process.exit(0); });
setTimeout(() => { console.log('nothing came within 10 s'); process.exit(1); }, 10000);
