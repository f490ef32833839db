// Runs what the application computes on the cases of a file, and prints a line of JSON for each.
import Foundation

struct Case: Decodable {
    let kind: String
    var seed: UInt32?
    var height: Int?
    var width: Int?
    var to: [Int]?
    var stark: Bool?
    var orientation: Int?
    var pipeline: Pipeline?
    var description: Description?
    var outputs: [String: Numbers]?
    var frame: [Int]?

    struct Numbers: Decodable {
        let shape: [Int]
        let values: [Float]
    }
}

func noise(_ seed: UInt32, _ height: Int, _ width: Int, isStark: Bool) -> Pixels {
    var state = seed
    var data = [UInt8]()
    for _ in 0..<(3 * height * width) {
        state = 1_664_525 &* state &+ 1_013_904_223
        let byte = UInt8(state >> 24)
        data.append(isStark ? (byte > 127 ? 255 : 0) : byte)
    }
    return Pixels(height: height, width: width, data: data)
}

func result(_ given: Case) throws -> [String: Any] {
    if given.kind == "answer" {
        guard let description = given.description, let frame = given.frame else { return [:] }
        let outputs = (given.outputs ?? [:]).mapValues { Output(shape: $0.shape, values: $0.values) }
        let place = Pipeline.Frame(
            inputHeight: frame[0], inputWidth: frame[1], top: frame[2], left: frame[3],
            rows: frame[4], columns: frame[5])
        let answer = try Answering(description: description).answer(outputs, frame: place)
        var said: [String: Any] = [
            "text": answer.text, "confidence": answer.confidence, "unsure": answer.isUnsure,
            "scores": answer.scores.map { [$0.label, $0.probability] },
        ]
        if let overlay = answer.overlay {
            said["overlay"] = [overlay.height, overlay.width]
            said["rgba"] = overlay.rgba.map(Int.init)
            said["part"] = overlay.part
        }
        return said
    }
    var pixels = noise(
        given.seed ?? 0, given.height ?? 1, given.width ?? 1, isStark: given.stark ?? false)
    if let size = given.to {
        pixels = Resample.resized(pixels, height: size[0], width: size[1])
    } else if let pipeline = given.pipeline {
        (pixels, _) = try pipeline.input(pixels)
    } else if let orientation = given.orientation {
        pixels = pixels.upright(orientation: orientation)
    }
    return ["size": [pixels.height, pixels.width], "data": Data(pixels.data).base64EncodedString()]
}

let decoder = JSONDecoder()
decoder.keyDecodingStrategy = .convertFromSnakeCase
let file = try Data(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1]))
for given in try decoder.decode([Case].self, from: file) {
    let line = try JSONSerialization.data(withJSONObject: try result(given))
    print(String(decoding: line, as: UTF8.self))
}
