package firmwareconfig

import (
	"fmt"
	"strings"
)

// Language is the language of the texts that people read.
type Language int

// The languages. The zero Language is Chinese: the people who wire the boards
// read Chinese.
const (
	Chinese Language = iota
	English
)

// LanguageFrom returns the language of an environment, as POSIX orders the
// variables: the first of LC_ALL, LC_MESSAGES and LANG that is not empty
// decides. It is English only for a value that begins with "en"; everything
// else, C and POSIX and nothing at all included, is Chinese, because a board's
// serial console usually comes without any locale.
func LanguageFrom(getenv func(string) string) Language {
	for _, name := range [...]string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			if strings.HasPrefix(strings.ToLower(v), "en") {
				return English
			}
			return Chinese
		}
	}
	return Chinese
}

// text is one sentence in both languages.
type text struct{ zh, en string }

// say formats one sentence in both languages with the same arguments.
func say(zh, en string, args ...any) text {
	if len(args) == 0 {
		return text{zh, en}
	}
	return text{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)}
}

func (t text) in(l Language) string {
	if l == English {
		return t.en
	}
	return t.zh
}
