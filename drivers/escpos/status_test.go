package escpos

import "testing"

func classes(data []byte) (kinds []byteKind) {
	var c classifier
	for _, b := range data {
		kinds = append(kinds, c.classify(b))
	}
	return kinds
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes string
		want  string // s status, a automatic, - stray
	}{
		{"answers", "12 1a 32 7e", "ssss"},
		{"XON, XOFF, ACK", "11 13 06", "---"},
		{"automatic status", "10 00 00 0f", "aaaa"},
		{"offline, cover, out of paper", "38 00 0f 6f", "aaaa"},
		{"automatic status around an answer", "10 00 12 00 0f", "aasaa"},
		{"automatic status around XOFF", "10 00 13 00 0f", "aa-aa"},
		{"automatic status cut off by another", "10 00 14 01 02 03", "aaaaaa"},
		{"its bytes without a first one", "00 0f 6f", "---"},
		{"wrong fixed bits", "92 13 02 f2", "----"},
	} {
		var got []byte
		for _, k := range classes(unhex(t, test.bytes)) {
			got = append(got, "-sa"[k])
		}
		if string(got) != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		n    int
		b    byte
		want string
	}{
		{1, 0x12, "DLE EOT 1: 12"},
		{2, 0x16, "DLE EOT 2: 16, cover open"},
		{3, 0x3a, "DLE EOT 3: 3a, cutter, unrecoverable error"},
		{4, 0x7e, "DLE EOT 4: 7e, near end, no paper"},
	} {
		if got := explain(test.n, test.b); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func FuzzStatus(f *testing.F) {
	for _, seed := range []string{"12", "10 00 12 00 0f", "38 00 0f 6f", "92 13 02 f2", "11 13", ""} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, k := range classes(data) {
			b := data[i]
			if fixed := b&2 != 0 && b&0x10 != 0 && b&1 == 0 && b&0x80 == 0; fixed != (k == status) {
				t.Errorf("% x at %d: got status %v, want %v", data, i, k == status, fixed)
			}
			for n := 1; n <= kinds && k == status; n++ {
				r := round{}
				r.answers[n] = answer{ever: true, now: true, value: b}
				for s, reading := range sources() {
					if got, ok := r.reading(reading); !ok || got.Detail == "" {
						t.Errorf("%s from %02x to %d: got %+v, %v", s, b, n, got, ok)
					}
				}
			}
		}
	})
}
