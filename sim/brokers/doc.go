// Package brokers starts real MQTT brokers as processes on loopback, for tests
// and benchmarks: Debian's mosquitto, nats-server with MQTT, and the broker in
// longan-cloud. Each can be killed as by a power cut, started again, and robbed
// of its data.
//
// Its test is the conformance test of the promise that any MQTT 3.1.1 broker
// will do: the same cases with each of them.
package brokers
