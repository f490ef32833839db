import Foundation

/// What a package says about itself: the JSON under `foveal` in its metadata.
struct Description: Decodable, Sendable {
    struct Calibration: Decodable, Sendable {
        let temperature: Double
        let unsureBelow: Double
        let thresholds: [Double]
        /// Missing in descriptions of before; empty for none.
        let offsets: [Double]?
    }

    struct Options: Decodable, Sendable {
        let multiLabel: Bool?
        let head: String?
        let words: [String]?
    }

    struct Licence: Decodable, Sendable {
        let weights: String?
        let licence: String?
        let origin: String?
    }

    let name: String
    let version: String
    let task: String
    let labels: [String]
    let taskOptions: Options
    let pipeline: Pipeline
    let calibration: Calibration
    let licences: [Licence]

    static func read(_ json: Data) throws -> Description {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Description.self, from: json)
    }
}
