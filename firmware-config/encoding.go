package firmwareconfig

import (
	"bytes"
	"unicode/utf8"
)

// load takes the bytes of a file. It returns false after it has reported that
// they are no text that could be checked further.
func (s *source) load(src []byte) bool {
	if len(src) > MaxFile {
		s.reportFile(say("文件太大：上限 %d KiB。", "the file is too large: the limit is %d KiB.", MaxFile>>10), say("确认这是站点文件。", "Make sure that this is a site file."))
		return false
	}
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		s.reportFile(say("文件是 UTF-16（记事本里叫 Unicode）编码。", "the file is UTF-16 (Notepad calls it Unicode)."), saveAsUTF8)
		return false
	}
	s.data = bytes.TrimPrefix(bytes.Clone(src), []byte("\ufeff"))
	if i := bytes.IndexByte(s.data, 0); i >= 0 {
		s.report(span{i, i + 1}, say("文件已损坏：里面有零字节。", "the file is damaged: there are zero bytes in it."), say("重新复制一份；可能是写入时断电。", "Copy it again; the power may have failed while it was written."))
		return false
	}
	i := invalidUTF8(s.data)
	if i < 0 {
		return true
	}
	at := span{i, i + 1}
	if likelyGBK(s.data[i:]) {
		s.report(at, say("文件是 GBK 编码（Windows 编辑器里叫 ANSI），要用 UTF-8。", "the file is GBK (Windows editors call it ANSI); it must be UTF-8."), saveAsUTF8)
	} else {
		s.report(at, say("文件不是 UTF-8 编码。", "the file is not UTF-8."), saveAsUTF8)
	}
	return false
}

var saveAsUTF8 = text{
	"在编辑器里另存为 UTF-8，或运行：iconv -f GBK -t UTF-8 旧文件 > 新文件（UTF-16 则用 -f UTF-16）",
	"Save it as UTF-8 in the editor, or run: iconv -f GBK -t UTF-8 old > new (with -f UTF-16 for UTF-16)",
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// likelyGBK reports whether the bytes that are not ASCII are pairs as in GBK
// (GB 18030, two-byte part).
func likelyGBK(data []byte) bool {
	pairs := 0
	for i := 0; i < len(data); i++ {
		if data[i] < 0x80 {
			continue
		}
		if i+1 == len(data) || data[i] == 0x80 || data[i] == 0xff || data[i+1] < 0x40 || data[i+1] == 0x7f || data[i+1] == 0xff {
			return false
		}
		pairs++
		i++
	}
	return pairs > 0
}
