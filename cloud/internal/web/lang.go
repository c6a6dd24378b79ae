package web

import (
	"net/http"
	"strconv"
	"strings"
)

// lang is a language of the pages.
type lang string

const (
	zh lang = "zh"
	en lang = "en"
)

var langs = [...]lang{zh, en}

const langCookie = "lang"

// langOf returns the language of a request: as ?lang says, else as the cookie
// says, else English if the browser prefers it to Chinese, else Chinese.
func langOf(r *http.Request) lang {
	if l, ok := parseLang(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil {
		if l, ok := parseLang(c.Value); ok {
			return l
		}
	}
	if prefersEnglish(r.Header.Get("Accept-Language")) {
		return en
	}
	return zh
}

func parseLang(s string) (lang, bool) {
	for _, l := range langs {
		if s == string(l) {
			return l, true
		}
	}
	return "", false
}

// rememberLang keeps a language that was asked for.
func rememberLang(w http.ResponseWriter, r *http.Request) {
	if l, ok := parseLang(r.URL.Query().Get("lang")); ok {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(l), Path: "/",
			MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
}

// prefersEnglish reports whether the first choice of an Accept-Language
// (RFC 9110, section 12.5.4) is English.
func prefersEnglish(header string) bool {
	best, english := 0.0, false
	for item := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = f
		}
		if q > best {
			primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
			best, english = q, primary == "en"
		}
	}
	return english
}

// text returns what a key says in a language; an unknown key is itself, so
// that a word of a newer board is shown rather than hidden.
func text(l lang, key string) string {
	if t, ok := texts[key]; ok {
		if l == en {
			return t.en
		}
		return t.zh
	}
	return key
}
