; SPDX-License-Identifier: MIT
; Strings that grow, a ring of pairs, a list of lists.
(define n 0)
(define text "")
(while (< n 150)
  (set text (string-append text (string-append (to-string (* n n)) " ")))
  (set n (+ n 1)))
(print (string-length text))
(print (string-append "[" (string-append (to-string -9223372036854775808) "]")))
(define ring (cons "a" (cons "b" nil)))
(set-rest (rest ring) ring)
(print (first (rest (rest (rest ring)))))
(print '(quoted (lists "are" 1) ((data)) nil 'x))
(print (is-pair '()))
