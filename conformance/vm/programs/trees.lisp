; SPDX-License-Identifier: MIT
; Short-lived trees beside one that lives; some megabytes pass through a heap of one.
(define tree (lambda (depth) (if (= depth 0) nil (cons (tree (- depth 1)) (tree (- depth 1))))))
(define nodes (lambda (tree) (if tree (+ 1 (+ (nodes (first tree)) (nodes (rest tree)))) 0)))
(define kept (tree 8))
(define turns 0)
(define sum 0)
(while (< turns 100)
  (set sum (+ sum (nodes (tree 6))))
  (set turns (+ turns 1)))
(collect)
(print sum)
(print (nodes kept))
