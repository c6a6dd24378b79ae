// Package cloud is the city's side: the bridge that takes what boards publish,
// stores it and acknowledges it, and the city center's view of it.
//
// # The way of an event through the city
//
//		board ─MQTT─> broker ─> ingest ─> store (commit) ─> live ─> web ─> operator
//		  ^                       │ <────────┘
//		  └───────── ack ─────────┘
//
//	  - internal/broker is the MQTT broker of the one-command city: who may
//	    connect, and who may say what. With [Config.Broker] it stays away and any
//	    MQTT 3.1.1 broker takes its place; nothing relies on what a broker keeps.
//	  - internal/ingest subscribes there, decodes batches, has them stored, and
//	    only after the commit shows them and sends the ack that lets a board free
//	    its events. Batches may come late, repeatedly and in any order.
//	  - internal/store holds every event exactly once, how far each stream is
//	    complete, and where it has holes.
//	  - internal/live folds statuses and committed events into what each center
//	    looks like now; silence makes it stale, then offline.
//	  - internal/web shows that: a page and an API.
//
// # What a restart costs
//
// Nothing that was acknowledged. [Run] opens the store, shows every center it
// has heard of as unknown with its last status and its alarms, and waits for
// heartbeats. Boards send again what was not acknowledged.
package cloud
