import Foundation

/// From the scores of columns (or positions) to a text and its probability.
///
/// A. Graves and others, "Connectionist Temporal Classification" (2006),
/// https://www.cs.toronto.edu/~graves/icml_2006.pdf. Class 0 is the blank, class i + 1 the i-th
/// character of the alphabet.
enum Reading {
    struct Found {
        /// Positions in the alphabet.
        let indices: [Int]
        /// Of the whole text: the sum over all its alignments.
        let logProbability: Double
    }

    /// The logarithms of the softmax of each column.
    static func rows(_ logits: Output, temperature: Double) -> [[Double]] {
        let classes = logits.shape[1]
        return (0..<logits.shape[0]).map { column in
            let scores = logits.values[(column * classes)..<((column + 1) * classes)].map {
                Double($0) / temperature
            }
            let most = scores.max() ?? 0
            let total = most + log(scores.reduce(0) { $0 + exp($1 - most) })
            return scores.map { $0 - total }
        }
    }

    /// The text of the most probable alignment.
    static func greedy(_ rows: [[Double]]) -> Found {
        var indices: [Int] = []
        var before = 0
        for row in rows {
            let best = largest(row)
            if best > 0 && best != before {
                indices.append(best - 1)
            }
            before = best
        }
        return Found(indices: indices, logProbability: overAlignments(rows, indices))
    }

    /// What each position says by itself.
    static func ofPositions(_ rows: [[Double]]) -> Found {
        let indices = rows.map(largest).filter { $0 > 0 }.map { $0 - 1 }
        return Found(indices: indices, logProbability: overPlacings(rows, indices))
    }

    private static func largest(_ row: [Double]) -> Int {
        var best = 0
        for index in row.indices where row[index] > row[best] {
            best = index
        }
        return best
    }

    /// Sum over all alignments: blanks may stand between characters, and must between equal ones.
    private static func overAlignments(_ rows: [[Double]], _ indices: [Int]) -> Double {
        var states = [0]
        for index in indices {
            states += [index + 1, 0]
        }
        var totals = [Double](repeating: -.infinity, count: states.count)
        for (column, row) in rows.enumerated() {
            var next = totals
            for state in states.indices {
                var before = totals[state]
                if column == 0 {
                    before = state < 2 ? 0 : -.infinity
                } else if state > 0 {
                    before = added(before, totals[state - 1])
                    if state > 1 && states[state] != 0 && states[state] != states[state - 2] {
                        before = added(before, totals[state - 2])
                    }
                }
                next[state] = before + row[states[state]]
            }
            totals = next
        }
        return totals.suffix(2).reduce(-.infinity, added)
    }

    /// Sum over all ways to place the characters, in this order, among the positions.
    private static func overPlacings(_ rows: [[Double]], _ indices: [Int]) -> Double {
        var totals = [Double](repeating: -.infinity, count: indices.count + 1)
        totals[0] = 0
        for row in rows {
            for count in totals.indices.reversed() {
                let stays = totals[count] + row[0]
                let moves =
                    count > 0 ? totals[count - 1] + row[indices[count - 1] + 1] : -.infinity
                totals[count] = added(stays, moves)
            }
        }
        return totals[indices.count]
    }

    private static func added(_ first: Double, _ second: Double) -> Double {
        let most = max(first, second)
        return most == -.infinity ? most : most + log1p(exp(min(first, second) - most))
    }
}
