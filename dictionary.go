package longan

// dictionary1 is the preset dictionary of encoding 0x01: what batches are made
// of, the most frequent last, where DEFLATE reaches it most cheaply. It is part
// of the contract and never changes; a better one gets another first byte.
const dictionary1 = `"device.fault","clock.synced","spool.gap","spool.recovered","config.applied",` +
	`"reason":"timeout","error":"silent","version":"","count":1,"from":1,"to":1,` +
	`"cause":"offline","cause":"error","cause":"paper-near-end","cause":"cover-open","cause":"paper-out",` +
	`"cause":"fire","cause":"tamper","cause":"intrusion","cause":"mains","cause":"panic",` +
	`"type":"agent.started","type":"peripheral.restored","type":"peripheral.fault",` +
	`"type":"point.unknown","type":"point.normal","type":"point.active",` +
	`"type":"kiosk.restored","type":"kiosk.fault","point":"printer-paper","point":"printer",` +
	`"clock":"floor","clock":"city","clock":"rtc","time":"1970-01-01T00:00:00.000Z",` +
	`{"v":1,"device":"621202104-01","epoch":"0123456789abcdef","lane":"sample","oldest":1,"events":[` +
	`{"v":1,"device":"621202104-01","epoch":"0123456789abcdef","lane":"alarm","oldest":1,"events":[` +
	`{"seq":1,"type":"alarm.restored","point":"panic-button","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456,"data":{"cause":"panic"}},` +
	`{"seq":1,"type":"alarm.raised","point":"panic-button","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456,"data":{"cause":"panic"}}]}` +
	`{"v":1,"device":"621202104-01","epoch":"0123456789abcdef","lane":"state","oldest":1,"events":[` +
	`{"seq":1,"type":"door.opened","point":"front-door","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456},` +
	`{"seq":2,"type":"door.closed","point":"back-door","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456}]}`
