package longan

// dictionary1 is the preset dictionary of encoding 0x01: what messages are made
// of, the most frequent last, where DEFLATE reaches it most cheaply. It is part
// of the contract and never changes; a better one gets another first byte.
const dictionary1 = `"version":"v0.1.0 go1.26","name":"综治中心","full":true,"points":{"panic-button":{"state":"unknown",` +
	`"kind":"panic","label":"紧急按钮","peripheral":"io","since":"2026-11-23T08:15:29.870Z","detail":"","age":53},` +
	`"front-door":{"state":"active","kind":"door","label":"前门","peripheral":"io","since":"2026-11-23T08:15:29.870Z","age":53},` +
	`"printer-paper-out":{"state":"normal","kind":"kiosk","label":"缺纸","peripheral":"printer","since":"2026-11-23T08:15:29.870Z","age":53}},` +
	`"peripherals":{"io":{"ok":true,"driver":"modbus","label":"输入模块","age":53},` +
	`"printer":{"ok":false,"driver":"escpos","label":"打印机","age":53,"error":"peripheral is silent"}},` +
	`"backlog":{"alarm":1,"state":2},"disk":{"ok":true,"today":181000,"life":438000}}` +
	`"refused":{"lane":"state","crc":"00000000","reason":"malformed"}` +
	`"session":"a1b2c3d4e5f6","n":4,"epoch":"9f86d081884c7d65","state":"offline","state":"online","time":"2026-11-23T08:15:30.123Z","mono":86512345}` +
	`{"v":1,"epoch":"9f86d081884c7d65","lanes":{"alarm":17,"state":2041,"sample":9},"time":"2026-11-23T08:15:30.171Z","credit":1600}` +
	`"type":"access.card","type":"code.scanned","type":"clock.synced","device.fault","clock.synced","spool.gap","spool.recovered","config.applied",` +
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
