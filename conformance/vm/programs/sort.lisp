; SPDX-License-Identifier: MIT
; A list of pseudo-random numbers is sorted by merging; a reversed copy of the result is checked and its ends are printed.
(define seed 12345)
(define next (lambda () (begin (set seed (% (+ (* seed 1103515245) 12345) 2147483648)) (% (/ seed 65536) 10000))))
(define numbers (lambda (n) (let ((list nil)) (while (< 0 n) (set list (cons (next) list)) (set n (- n 1))) list)))
(define reverse (lambda (list done) (if list (reverse (rest list) (cons (first list) done)) done)))
(define take (lambda (list n) (if (< 0 n) (cons (first list) (take (rest list) (- n 1))) nil)))
(define drop (lambda (list n) (if (< 0 n) (drop (rest list) (- n 1)) list)))
(define merge (lambda (a b done)
  (if a
      (if b
          (if (< (first b) (first a)) (merge a (rest b) (cons (first b) done)) (merge (rest a) b (cons (first a) done)))
          (merge (rest a) b (cons (first a) done)))
      (if b (merge a (rest b) (cons (first b) done)) (reverse done nil)))))
(define sort (lambda (list n)
  (if (< n 2)
      list
      (let ((half (/ n 2)) (left (sort (take list half) half)) (right (sort (drop list half) (- n half))))
        (merge left right nil)))))
(define sorted (sort (numbers 90) 90))
(define descends (lambda (list) (if (rest list) (if (< (first list) (first (rest list))) nil (descends (rest list))) 1)))
(print (take sorted 5))
(print (take (reverse sorted nil) 5))
(print (descends (reverse sorted nil)))
